//! Lists by pages: `{"items", "next"}`, `?limit=` and `?cursor=`. A list's parameters are a struct of its own with
//! these two among its fields:
//!
//! ```ignore
//! #[derive(Deserialize, IntoParams)]
//! #[serde(deny_unknown_fields)]
//! struct Contacts {
//!     state: Option<State>,
//!     #[serde(default)]
//!     #[param(inline)]
//!     limit: Limit,
//!     #[param(inline)]
//!     cursor: Option<PageMark>,
//! }
//! ```

use std::{borrow::Cow, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use starling_protocol::{
    ErrorCode,
    limits::{PAGE_ITEMS, PAGE_ITEMS_MAX, PAGE_TOKEN_CHARS_MAX},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Type, schema::Schema},
};

use crate::problem::Problem;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The `cursor` of the next page, or null.
    #[schema(required = true)]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A page out of one more item than its limit, if there are as many; `mark` says where the next one begins, given
    /// the last item of this one.
    pub fn page(mut items: Vec<T>, limit: Limit, mark: impl FnOnce(&T) -> String) -> Self {
        let more = items.len() > limit.0;
        items.truncate(limit.0);
        let next = items.last().filter(|_| more).map(mark);
        Self { items, next }
    }
}

/// How many items a page may have: 50 unless asked otherwise, 200 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub usize);

impl Default for Limit {
    fn default() -> Self {
        Self(PAGE_ITEMS)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(text)?;
        if (1..=PAGE_ITEMS_MAX).contains(&limit) {
            return Ok(Self(limit));
        }
        Err(D::Error::custom(format_args!("must be 1 to {PAGE_ITEMS_MAX}")))
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(PAGE_ITEMS_MAX))
            .default(Some(PAGE_ITEMS.into()))
            .into()
    }
}

impl ToSchema for Limit {}

/// Where a page begins: the `next` of the page before, which the list that gave it reads with [`PageMark::parse`].
#[derive(Clone, Debug)]
pub struct PageMark(String);

impl PageMark {
    /// What the list put into it.
    pub fn parse<T: FromStr>(&self) -> Result<T, Problem> {
        let foreign =
            |_| Problem::new(ErrorCode::BadRequest, "cursor is not the next of a page of this list");
        self.0.parse().map_err(foreign)
    }
}

impl<'de> Deserialize<'de> for PageMark {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(text)?;
        if text.is_empty() || text.len() > PAGE_TOKEN_CHARS_MAX {
            return Err(D::Error::custom("is not the next of a page"));
        }
        Ok(Self(text.into_owned()))
    }
}

impl PartialSchema for PageMark {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.min_length(Some(1)).max_length(Some(PAGE_TOKEN_CHARS_MAX)).into()
    }
}

impl ToSchema for PageMark {}

//! Lists in pages: `{"items", "next"}`, `?limit=` and `?cursor=`. Each list has a struct for its parameters, with these two
//! among its fields:
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
//!     cursor: Option<PageParam>,
//! }
//! ```

use std::{borrow::Cow, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use starling_protocol::{
    ErrorCode,
    limits::{PAGE_ITEMS, PAGE_ITEMS_MAX, PAGE_TOKEN_CHARS_MAX},
    texts,
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Type, schema::Schema},
};

use crate::{
    problem::Problem,
    service::{Page, PageRequest},
};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The `cursor` of the next page, or null.
    #[schema(required = true)]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// Makes a page of `items`: up to `limit`, and one more if there is a next page. `next_page` returns the parameter of the
    /// next page, given the last item of this one.
    pub fn page(mut items: Vec<T>, limit: Limit, next_page: impl FnOnce(&T) -> String) -> Self {
        let more = items.len() > limit.0;
        items.truncate(limit.0);
        let next = items.last().filter(|_| more).map(next_page);
        Self { items, next }
    }
}

impl<T> From<Page<T>> for List<T> {
    fn from(Page { items, next }: Page<T>) -> Self {
        Self { items, next: next.map(|token| token.to_string()) }
    }
}

/// The parameters of a list that has no others.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    #[serde(default)]
    #[param(inline)]
    pub limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    pub cursor: Option<PageParam>,
}

impl PageQuery {
    /// Parses the parameters.
    pub fn request(self) -> Result<PageRequest, Problem> {
        page_request(self.limit, self.cursor)
    }
}

/// Parses the parameters of a page.
pub fn page_request(limit: Limit, cursor: Option<PageParam>) -> Result<PageRequest, Problem> {
    Ok(PageRequest { from: cursor.map(|page| page.parse()).transpose()?, limit: limit.0 })
}

/// The most items on a page: 50 by default, and 200 at most.
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
        Err(D::Error::custom(texts::request::must_be_between(1, PAGE_ITEMS_MAX)))
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

/// The parameter `cursor` of a list: the `next` of the page before. The list that returned it parses it with
/// [`PageParam::parse`].
#[derive(Clone, Debug)]
pub struct PageParam(String);

impl PageParam {
    /// Parses the text that the list put into it.
    pub fn parse<T: FromStr>(&self) -> Result<T, Problem> {
        self.0.parse().map_err(|_| foreign_page())
    }
}

/// Returns the problem for a parameter `cursor` that this list has not returned.
pub(super) fn foreign_page() -> Problem {
    Problem::new(ErrorCode::BadRequest, texts::request::FOREIGN_CURSOR_PARAMETER)
}

impl<'de> Deserialize<'de> for PageParam {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(text)?;
        if text.is_empty() || text.len() > PAGE_TOKEN_CHARS_MAX {
            return Err(D::Error::custom(texts::request::MUST_BE_NEXT));
        }
        Ok(Self(text.into_owned()))
    }
}

impl PartialSchema for PageParam {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.min_length(Some(1)).max_length(Some(PAGE_TOKEN_CHARS_MAX)).into()
    }
}

impl ToSchema for PageParam {}

//! Pages of the lists under `rooms`.

use serde::Deserialize;
use utoipa::IntoParams;

use super::super::list::{Limit, List, PageParam};
use crate::{
    problem::Problem,
    service::{Page, PageRequest},
};

/// The parameters of a list that has no others.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageParam>,
}

/// Parses the parameters of a page.
pub fn page_request(limit: Limit, cursor: Option<PageParam>) -> Result<PageRequest, Problem> {
    Ok(PageRequest { from: cursor.map(|page| page.parse()).transpose()?, limit: limit.0 })
}

impl Pages {
    /// Parses the parameters.
    pub fn request(self) -> Result<PageRequest, Problem> {
        page_request(self.limit, self.cursor)
    }
}

impl<T> From<Page<T>> for List<T> {
    fn from(Page { items, next }: Page<T>) -> Self {
        Self { items, next: next.map(|token| token.to_string()) }
    }
}

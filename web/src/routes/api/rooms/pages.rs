//! Pages of the lists under `rooms`.

use serde::Deserialize;
use utoipa::IntoParams;

use super::super::list::{Limit, List, PageMark};
use crate::{
    problem::Problem,
    service::{Page, PageRequest},
};

/// The parameters of a list without filters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next` of a page.
    #[param(inline)]
    cursor: Option<PageMark>,
}

/// Parses the parameters of a page.
pub fn part(limit: Limit, cursor: Option<PageMark>) -> Result<PageRequest, Problem> {
    Ok(PageRequest { from: cursor.map(|mark| mark.parse()).transpose()?, limit: limit.0 })
}

impl Pages {
    /// Parses the parameters.
    pub fn part(self) -> Result<PageRequest, Problem> {
        part(self.limit, self.cursor)
    }
}

impl<T> From<Page<T>> for List<T> {
    fn from(Page { items, next }: Page<T>) -> Self {
        Self { items, next: next.map(|mark| mark.to_string()) }
    }
}

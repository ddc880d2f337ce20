//! What handlers take out of a request: JSON bodies and query parameters, refused in our shape.

use axum::body::Bytes;
use axum::extract::{
    FromRequest, FromRequestParts, OptionalFromRequest, Query, RawPathParams, Request,
};
use http::request::Parts;
use roadstead_core::port::{Page, read_marker};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;

/// Items of a page when the caller names no number (Huawei §9.1).
const PAGE_LIMIT: u32 = 10;
/// Largest offset of a list.
const OFFSET_MAX: u32 = 1_000_000;
/// Largest page and offset of a v5 list (Huawei §9.1).
const V5_LIMIT_MAX: u32 = 50;
const V5_OFFSET_MAX: u32 = 500;
/// The marker that SDKs send for "from the start".
const MARKER_START: &str = "ffffffffffffffffffffffff";

/// A JSON body. The content type is not looked at: SDKs send several, and none at all.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

/// An absent body is `None`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Failure> {
        let bytes = read(request, state).await?;
        match bytes.iter().all(u8::is_ascii_whitespace) {
            true => Ok(None),
            false => parse(&bytes).map(|body| Some(Self(body))),
        }
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Failure> {
    Bytes::from_request(request, state)
        .await
        .map_err(|_| Failure::new("api.too_large", "the body is too large or was cut off"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::bad(format!("body: {error}")))
}

/// The last parameter of the path: the object that the call is about.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::bad("the path is not UTF-8"))?;
        match params.iter().last() {
            Some((_, id)) => Ok(Self(id.into())),
            None => Err(Failure::new("http.not_found", "the path names no object")),
        }
    }
}

/// The last two parameters of the path: an object and one of its parts.
pub(crate) struct Ids(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::bad("the path is not UTF-8"))?;
        let mut values = params.iter().map(|(_, value)| value.to_owned()).collect::<Vec<_>>();
        match (values.pop(), values.pop()) {
            (Some(part), Some(object)) => Ok(Self(object, part)),
            _ => Err(Failure::new("http.not_found", "the path names no object")),
        }
    }
}

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(Failure::bad(error.body_text())),
        }
    }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams, utoipa::ToSchema)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Most items, 1 to 1000; 10 unless told otherwise.
    limit: Option<u32>,
    /// Start after the item with this marker, as `page.marker` of the page before says.
    marker: Option<String>,
    /// Skip this many more.
    offset: Option<u32>,
}

impl Paging {
    /// Returns the page of a v5 list, newest first: 1 to 50 items, 500 skipped at the most, after
    /// a marker of 24 hex digits.
    pub(crate) fn newest(&self) -> Result<Page, Failure> {
        let page = self.page()?;
        if page.limit > V5_LIMIT_MAX {
            return Err(Failure::bad(format!("limit: between 1 and {V5_LIMIT_MAX}")));
        }
        if page.offset > V5_OFFSET_MAX {
            return Err(Failure::bad(format!("offset: at most {V5_OFFSET_MAX}; use marker")));
        }
        match read_marker(&page) {
            Ok(_) => Ok(page),
            Err(_) => Err(Failure::bad("marker: the 24 hex digits of `page.marker`")),
        }
    }

    /// Returns the shortest page, for lists of which only the total counts.
    pub(crate) fn one() -> Page {
        Page { limit: 1, ..Page::default() }
    }

    /// Returns the page to read.
    pub(crate) fn page(&self) -> Result<Page, Failure> {
        let limit = self.limit.unwrap_or(PAGE_LIMIT);
        let most = u32::try_from(roadstead_core::limit::PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        if limit == 0 || limit > most {
            return Err(Failure::bad(format!("limit: between 1 and {most}")));
        }
        let offset = self.offset.unwrap_or(0);
        if offset > OFFSET_MAX {
            return Err(Failure::bad(format!("offset: at most {OFFSET_MAX}; use marker")));
        }
        let after = self.marker.as_deref().filter(|m| !m.is_empty() && *m != MARKER_START);
        Ok(Page { after: after.map(Into::into), offset, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_defaults_and_limits() {
        let paging = |limit, marker: Option<&str>, offset| {
            Paging { limit, marker: marker.map(Into::into), offset }.page()
        };
        let first = Page { after: None, offset: 0, limit: PAGE_LIMIT };
        assert_eq!(paging(None, None, None), Ok(first.clone()));
        assert_eq!(paging(None, Some(MARKER_START), Some(0)), Ok(first));
        let after = Page { after: Some("a".into()), offset: 3, limit: 1000 };
        assert_eq!(paging(Some(1000), Some("a"), Some(3)), Ok(after));
        assert!(paging(Some(0), None, None).is_err());
        assert!(paging(Some(1001), None, None).is_err());
        assert!(paging(None, None, Some(OFFSET_MAX + 1)).is_err());
        let newest = |limit, marker: Option<&str>, offset| {
            Paging { limit: Some(limit), marker: marker.map(Into::into), offset }.newest()
        };
        assert!(newest(50, Some(MARKER_START), Some(500)).is_ok());
        assert!(newest(1, Some(&"0".repeat(24)), None).is_ok());
        assert!(newest(51, None, None).is_err() && newest(1, None, Some(501)).is_err());
        for wrong in ["x", "00", "zzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000"] {
            assert!(newest(1, Some(wrong), None).is_err(), "{wrong}");
        }
    }
}

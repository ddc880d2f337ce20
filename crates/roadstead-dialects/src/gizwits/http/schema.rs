//! The data points of a product, as phones and applications read them.
//!
//! Source: GizWits §4.2, §6.1.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, Timestamp, Value};

use super::form::Form;
use super::reply;
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};
use crate::gizwits::{KEY_LEN, is_hex, point};

struct Schema {
    product: Box<str>,
    answer: String,
}

/// Reads `GET /app/datapoint?product_key=…`.
pub(super) fn read(http: &HttpRequest<'_>) -> Box<dyn Call> {
    let query = Form::parse(http.query.as_bytes());
    let key = query.get("product_key").filter(|key| is_hex(key, KEY_LEN)).unwrap_or_default();
    Box::new(Schema { product: key.into(), answer: String::new() })
}

impl Call for Schema {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        if self.product.is_empty() {
            return Err(reply::refuse("auth.unknown_product"));
        }
        Ok(Claim::Node { product: self.product.clone(), node: "".into() })
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        _device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let Some(product) = product else {
            return Err(reply::refuse("auth.unknown_product"));
        };
        let mut document =
            point::export(&product.model).map_err(|problem| reply::refuse(problem.code))?;
        if let Some(object) = document.as_object_mut() {
            object.entry("name").or_insert_with(|| (&*product.name).into());
            object.insert("product_key".into(), product.id.as_str().into());
            object.entry("entities").or_insert_with(|| Value::Array(Vec::new()));
        }
        self.answer = document.to_string();
        Ok(Effect::Nothing)
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        match result {
            Ok(_) => HttpResponse::json(200, "ok", self.answer),
            Err(code) => reply::refuse(code),
        }
    }
}

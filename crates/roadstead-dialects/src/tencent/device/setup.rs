//! From an operator's words to a device.

use alloc::format;

use roadstead_wire::airlink::Scheme;

use super::Device;
use super::config::{Config, Method, Proof, Start, Variant};
use super::policy::Policy;
use crate::air::Bearer;
use crate::device::{Setup, TlsMode};
use crate::{Dialect as _, Problem, SecretKind};

/// Builds a device.
///
/// # Errors
///
/// Which word does not fit this vendor, or which one is missing.
pub fn build(setup: &Setup) -> Result<Device, Problem> {
    let dialect = super::super::Tencent;
    dialect.check_ids(&setup.product, Some(&setup.device))?;
    let secrets =
        [(SecretKind::Device, &setup.secret), (SecretKind::Product, &setup.product_secret)];
    for (kind, secret) in secrets {
        if let Some(secret) = secret {
            dialect.check_secret(kind, secret.expose_text().unwrap_or_default())?;
        }
    }
    let mut config = Config::new(&setup.product, &setup.device);
    config.secret = setup.secret.clone();
    config.product_secret = setup.product_secret.clone();
    config.certificate = setup.certificate.clone();
    config.model = setup.model.clone();
    config.seed = setup.seed;
    config.proof = match setup.tls {
        TlsMode::Off => Proof::Sha1 { tls: false },
        TlsMode::Psk => Proof::Psk,
        TlsMode::Certificate => Proof::Certificate,
        TlsMode::Server => Proof::Sha1 { tls: true },
    };
    let has_credential = match config.proof {
        Proof::Certificate => config.certificate.is_some(),
        Proof::Psk | Proof::Sha1 { .. } | Proof::Sha256 { .. } => config.secret.is_some(),
    };
    if !has_credential && config.product_secret.is_none() {
        let words = "a device needs its secret or certificate, or the product secret to register";
        return Err(Problem::new("import.bad_row", words));
    }
    if let Some((host, port)) = &setup.server {
        config = config.with_mqtt(host, *port);
    }
    if let Some((host, port)) = &setup.vendor_http {
        config = config.with_registrar(host, *port, setup.vendor_https, Variant::One);
    }
    config.start = match &*setup.via {
        "softap" => config.start,
        "camera" => Start::Camera,
        "direct" => Start::Direct,
        "token" => Start::OnNetwork { method: Method::Unknown },
        other => match other.parse() {
            // Its key is a secret of another vendor's products.
            Ok(Bearer::Sniffed(Scheme::SmartConfig)) | Err(_) => {
                let known = "softap, camera, token, direct, airkiss, esptouch, esptouch2, \
                             simpleconfig, blufi, combo or llsync";
                return Err(Problem::new(
                    "import.bad_row",
                    format!("`{other}` is none of {known}"),
                ));
            }
            Ok(bearer) => Start::OverAir { bearer },
        },
    };
    let policy = match setup.protocol.as_deref() {
        None | Some("2.0") => Policy::v2(),
        Some("3.0") => Policy::v3(),
        Some(other) => {
            let words = format!("protocol `{other}` is neither 2.0 nor 3.0");
            return Err(Problem::new("import.bad_row", words));
        }
    };
    Ok(Device::new(config, if setup.fast { policy.lab() } else { policy }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_do_not_fit_are_named() {
        let mut setup = Setup::new("L4WG9V9M2M", "TEST2");
        let fails = |setup: &Setup| build(setup).err().expect("refused").message;
        assert!(fails(&setup).contains("product secret"));
        setup.secret = Some("MLvMHde65nKPk0Lx+ZThaA==".into());
        assert!(build(&setup).is_ok());
        for (via, fits) in
            [("softap", true), ("direct", true), ("esptouch", true), ("smartconfig", false)]
        {
            setup.via = via.into();
            assert_eq!(build(&setup).is_ok(), fits, "{via}");
        }
        setup.via = "softap".into();
        setup.protocol = Some("4.0".into());
        assert!(fails(&setup).contains("4.0"));
        setup.protocol = Some("3.0".into());
        setup.tls = TlsMode::Certificate;
        assert!(fails(&setup).contains("certificate"));
        let other = Setup { product: "no/id".into(), ..setup };
        assert!(fails(&other).contains("no/id"));
    }
}

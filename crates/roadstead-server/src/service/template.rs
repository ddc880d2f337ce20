//! Provisioning templates, and the registration of a device that nobody knows yet by the
//! certificate of a verified authority.

use roadstead_core::SpaceId;
use roadstead_core::trust::{
    Authority, Plan, Target, TargetKind, Template, TemplateBody, TrustKind,
};
use roadstead_core::{DeviceId, ProductId};
use roadstead_dialects::cloud::{Account, Claim, Hello, Refusal, Tls};

use super::{Error, NewDevice, Platform};

/// Longest name and description, characters.
const NAME_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 2048;

impl Platform {
    /// Creates a template.
    ///
    /// # Errors
    ///
    /// `api.bad_request`, `api.conflict`, `api.quota`.
    pub async fn create_template(
        &self,
        space: &SpaceId,
        name: &str,
        description: &str,
        body: TemplateBody,
    ) -> Result<Template, Error> {
        let now = self.clock.now();
        let template = Template {
            id: self.random.id().get(..24).unwrap_or_default().into(),
            space: space.clone(),
            name: name.into(),
            description: description.into(),
            body,
            created_at: now,
            updated_at: now,
        };
        check(&template)?;
        self.keep_trust(template.clone(), self.config.quota.templates).await?;
        Ok(template)
    }

    /// Changes a template; devices that it registered stay as they are.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.bad_request`.
    pub async fn update_template(
        &self,
        space: &SpaceId,
        id: &str,
        description: Option<&str>,
        body: Option<TemplateBody>,
    ) -> Result<Template, Error> {
        let mut template: Template = self.trusted(space, id).await?;
        template.description = description.map_or(template.description, Into::into);
        template.body = body.unwrap_or(template.body);
        template.updated_at = self.clock.now();
        check(&template)?;
        self.replace_trust(template.clone()).await?;
        Ok(template)
    }

    /// Deletes a template that no authority uses.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.conflict`.
    pub async fn delete_template(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        use roadstead_core::port::{Page, TrustFilter};

        self.trusted::<Template>(space, id).await?;
        let filter = TrustFilter { space: Some(space.clone()), ..TrustFilter::default() };
        let most = roadstead_core::limit::PAGE_ITEMS_MAX;
        let page = Page { limit: u32::try_from(most).unwrap_or(u32::MAX), ..Page::default() };
        let authorities = self.trusted_list::<Authority>(&filter, &page).await?.items;
        if let Some(user) = authorities.iter().find(|a| a.template.as_deref() == Some(id)) {
            let text = format!("certificate authority `{}` uses the template", user.id);
            return Err(Error::Conflict(text));
        }
        Ok(self.store.delete_trust(TrustKind::Template, id).await?)
    }

    /// Registers the unknown device of a claim by the template of the authority that vouches for
    /// it. `None` when there is no such authority or it has no template.
    pub(super) async fn self_register(
        &self,
        dialect: &str,
        hello: &Hello<'_>,
        claim: &Claim,
    ) -> Option<Result<Account, Refusal>> {
        let Tls::Certificate { sha256, authority: Some(vouched), .. } = hello.tls else {
            return None;
        };
        let space = &vouched.space;
        let authority = self.trusted::<Authority>(space, &vouched.authority).await.ok()?;
        let template = authority.template.filter(|_| authority.provision)?;
        let refused = |text: String| Refusal::new("register.template", text);
        let made = async {
            let template: Template = self
                .trusted(space, &template)
                .await
                .map_err(|error| refused(format!("template `{template}`: {error}")))?;
            let plan = template.body.plan(&vouched.subject).map_err(|error| refused(error.0))?;
            let product_id = ProductId::new(plan.product.as_str());
            let product = self.product(space, &product_id).await;
            let product =
                product.map_err(|error| refused(format!("product `{product_id}`: {error}")))?;
            if &*product.dialect != dialect {
                return Err(refused(format!("product `{product_id}` speaks another dialect")));
            }
            let id = match &plan.device {
                Some(id) => DeviceId::new(id.as_str()),
                None => DeviceId::of_node(&product.id, &plan.node),
            };
            if !is_claimed(claim, &id, &plan) {
                let text = format!("the certificate makes device `{id}`, the log-in names another");
                return Err(refused(text));
            }
            let new = NewDevice {
                product: plan.product,
                node: plan.node,
                name: plan.name,
                id: Some(id.as_str().into()),
                fingerprint: Some(sha256.clone()),
                ..NewDevice::default()
            };
            let device = match self.create_device(space, new).await {
                Ok(device) => device,
                // Two log-ins at the same time.
                Err(Error::DeviceExists(_)) => {
                    self.device_in(space, &id).await.map_err(|error| refused(error.to_string()))?
                }
                Err(error) => return Err(refused(error.to_string())),
            };
            if !plan.tags.is_empty() {
                let tags = plan.tags.iter();
                let tags = tags.map(|(key, value)| (key.as_str().into(), value.as_str().into()));
                if let Err(error) = self.bind_tags(space, &id, tags.collect()).await {
                    drop(self.store.delete_device(&id).await);
                    return Err(refused(format!("tags: {error}")));
                }
            }
            for policy in &plan.policies {
                let ids = [id.as_str().to_owned()];
                let bound = self.bind_policy(space, policy, TargetKind::Device, &ids).await;
                let failure = match bound {
                    Ok(failed) => failed.first().map(|failed| failed.message.clone()),
                    Err(error) => Some(error.to_string()),
                };
                if let Some(failure) = failure {
                    // Without its policy the device would be free to do everything.
                    drop(self.store.delete_device(&id).await);
                    return Err(refused(format!("policy `{policy}`: {failure}")));
                }
            }
            Ok(Account { product, device })
        };
        Some(made.await)
    }

    /// Unbinds the policies of a device that was deleted.
    pub(super) async fn forget_device(&self, id: &DeviceId) {
        let target = Target { kind: TargetKind::Device, id: id.as_str().into() };
        if let Err(error) = self.forget_target(&target).await {
            tracing::warn!(%error, device = %id, "unbinding the policies of a deleted device");
        }
    }
}

fn is_claimed(claim: &Claim, id: &DeviceId, plan: &Plan) -> bool {
    match claim {
        Claim::Device(claimed) => claimed == id,
        Claim::Node { product, node } => **product == plan.product && **node == plan.node,
        // Its group registers it.
        Claim::Member { .. } => false,
    }
}

fn check(template: &Template) -> Result<(), Error> {
    let count = |text: &str| text.chars().count();
    let is_name = |c: char| c.is_alphanumeric() || "_?'#().,&%@!-".contains(c);
    if !(1..=NAME_MAX).contains(&count(&template.name)) || !template.name.chars().all(is_name) {
        let text = format!("template_name: 1 to {NAME_MAX} letters, digits and _?'#().,&%@!-");
        return Err(Error::Invalid(text));
    }
    if count(&template.description) > DESCRIPTION_MAX {
        return Err(Error::Invalid(format!("description: at most {DESCRIPTION_MAX} characters")));
    }
    template.body.check().map_err(|error| Error::Invalid(format!("template_body.{}", error.0)))
}

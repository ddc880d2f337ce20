//! Groups, tags and searches: which devices belong together.
//!
//! Members of a static group are listed in the store; those of a dynamic group are found by its
//! rule whenever somebody asks. Source: Huawei §9.3 (search), §9.7; limits §15.

use std::sync::Arc;

use roadstead_core::device::{Device, Tags};
use roadstead_core::group::{Group, Kind};
use roadstead_core::limit::{NAME_BYTES_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX};
use roadstead_core::port::{DeviceFilter, GroupFilter, GroupPatch, Listing, Page, StoreError};
use roadstead_core::search::{self, SearchError, Subject};
use roadstead_core::{DeviceId, GroupId, SpaceId};

use super::{DeviceView, Error, Platform};

/// Longest name of a group and its description, characters (Huawei §9.7; the description is a
/// guess of ours).
const GROUP_NAME_CHARS_MAX: usize = 64;
const DESCRIPTION_CHARS_MAX: usize = 64;

/// A group to create.
#[derive(Default)]
pub struct NewGroup {
    /// Name, unique in the space.
    pub name: String,
    /// Description.
    pub description: String,
    /// The group above it.
    pub parent: Option<GroupId>,
    /// The rule of a dynamic group; without one it is static.
    pub rule: Option<String>,
}

impl Platform {
    /// Creates a group.
    ///
    /// # Errors
    ///
    /// `api.bad_request`, `search.syntax` for its rule, `api.conflict` when the name is taken,
    /// `api.not_found` without super group, `api.quota`.
    pub async fn create_group(&self, space: &SpaceId, new: NewGroup) -> Result<Group, Error> {
        check_group(Some(&new.name), Some(&new.description))?;
        if let Some(rule) = &new.rule {
            search::condition(rule)?;
        }
        let now = self.clock.now();
        let group = Group {
            id: GroupId::new(self.random.id()),
            space: space.clone(),
            name: new.name.into(),
            description: new.description.into(),
            parent: new.parent,
            kind: if new.rule.is_some() { Kind::Dynamic } else { Kind::Static },
            rule: new.rule.map(Into::into),
            created_at: now,
            changed_at: now,
            number: 0,
        };
        let quota = &self.config.quota;
        let made = self.store.create_group(group.clone(), quota.groups, quota.group_depth).await;
        match made {
            Err(StoreError::Missing) => Err(Error::NotFound("super group")),
            Err(StoreError::Exists) => Err(name_taken()),
            made => Ok(made.map(|()| group)?),
        }
    }

    /// Returns a group of a space.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn group(&self, space: &SpaceId, id: &GroupId) -> Result<Group, Error> {
        self.store.group(space, id).await?.ok_or(Error::NotFound("group"))
    }

    /// Lists groups of a space, newest first.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn groups(
        &self,
        space: &SpaceId,
        filter: &GroupFilter,
        page: &Page,
    ) -> Result<Listing<Group>, Error> {
        Ok(self.store.groups(space, filter, page).await?)
    }

    /// Changes name and description of a group.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.bad_request`, `api.conflict` when the name is taken.
    pub async fn update_group(
        &self,
        space: &SpaceId,
        id: &GroupId,
        patch: GroupPatch,
    ) -> Result<Group, Error> {
        check_group(patch.name.as_deref(), patch.description.as_deref())?;
        match self.store.update_group(space, id, patch, self.clock.now()).await {
            Err(StoreError::Missing) => Err(Error::NotFound("group")),
            Err(StoreError::Exists) => Err(name_taken()),
            outcome => Ok(outcome?),
        }
    }

    /// Deletes a group; its devices stay.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.conflict` while it has sub-groups.
    pub async fn delete_group(&self, space: &SpaceId, id: &GroupId) -> Result<(), Error> {
        match self.store.delete_group(space, id).await {
            Err(StoreError::Missing) => Err(Error::NotFound("group")),
            Err(StoreError::InUse(by)) => Err(Error::Conflict(format!("the group still has {by}"))),
            outcome => Ok(outcome?),
        }
    }

    /// Lists the devices of a group, newest first.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `search.too_broad`.
    pub async fn group_devices(
        &self,
        space: &SpaceId,
        id: &GroupId,
        page: &Page,
    ) -> Result<Listing<DeviceView>, Error> {
        let group = self.group(space, id).await?;
        let filter = match &group.rule {
            Some(rule) => {
                let condition = Some(search::condition(rule)?);
                DeviceFilter { condition, ..DeviceFilter::default() }
            }
            None => DeviceFilter { group: Some(group.id), ..DeviceFilter::default() },
        };
        self.devices(space, &filter, page).await
    }

    /// Puts a device into a static group; it may be there already.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `device.unknown`, `api.bad_request` for a dynamic group, `api.quota`.
    pub async fn add_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<(), Error> {
        self.listed_group(space, id, device).await?;
        let max = self.config.quota.group_devices;
        self.store.add_member(space, id, device, max).await?;
        Ok(())
    }

    /// Takes a device out of a static group.
    ///
    /// # Errors
    ///
    /// `api.not_found`, also when it is not in, `device.unknown`, `api.bad_request` for a dynamic
    /// group.
    pub async fn remove_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<(), Error> {
        self.listed_group(space, id, device).await?;
        match self.store.remove_member(space, id, device).await? {
            true => Ok(()),
            false => Err(Error::NotFound("device in the group")),
        }
    }

    async fn listed_group(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<(), Error> {
        let group = self.group(space, id).await?;
        self.device_in(space, device).await?;
        match group.kind {
            Kind::Static => Ok(()),
            Kind::Dynamic => {
                Err(Error::Invalid("the rule of a dynamic group says who is in it".into()))
            }
        }
    }

    /// Returns the groups that a device belongs to, static ones first.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn groups_of(&self, space: &SpaceId, id: &DeviceId) -> Result<Vec<Group>, Error> {
        let view = self.device(space, id).await?;
        let mut groups = self.store.groups_of(id).await?;
        let ids: Vec<GroupId> = groups.iter().map(|group| group.id.clone()).collect();
        let subject = Subject { device: &view.device, presence: &view.presence, groups: &ids };
        for group in self.store.dynamic_groups(space).await? {
            let rule = group.rule.as_deref().unwrap_or_default();
            if search::condition(rule)?.holds(subject) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    /// Adds tags to a device; keys that it has get the new value.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request`, `api.quota`.
    pub async fn bind_tags(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        tags: Tags,
    ) -> Result<Arc<Device>, Error> {
        self.device_in(space, id).await?;
        tags.iter().try_for_each(|(key, value)| check_tag(key, Some(value)))?;
        Ok(self.store.bind_tags(id, tags, self.config.quota.tags).await?)
    }

    /// Takes tags from a device; keys that it lacks do not matter.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request`.
    pub async fn unbind_tags(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        keys: Vec<Box<str>>,
    ) -> Result<Arc<Device>, Error> {
        self.device_in(space, id).await?;
        keys.iter().try_for_each(|key| check_tag(key, None))?;
        Ok(self.store.unbind_tags(id, keys).await?)
    }
}

fn name_taken() -> Error {
    Error::Conflict("a group of this name exists already".into())
}

/// Checks key and value of a tag.
pub(crate) fn check_tag(key: &str, value: Option<&str>) -> Result<(), Error> {
    let fits = |text: &str, most: usize| {
        text.chars().count() <= most && !text.chars().any(char::is_control)
    };
    let value = value.unwrap_or_default();
    if !key.is_empty() && fits(key, TAG_KEY_CHARS_MAX) && fits(value, TAG_VALUE_CHARS_MAX) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a tag has a key of 1 to {TAG_KEY_CHARS_MAX} and a value of at most {TAG_VALUE_CHARS_MAX} \
         characters, none of them a control character"
    )))
}

fn check_group(name: Option<&str>, description: Option<&str>) -> Result<(), Error> {
    let fits = |text: &str, least: usize, most: usize| {
        (least..=most).contains(&text.chars().count())
            && text.len() <= NAME_BYTES_MAX
            && !text.chars().any(char::is_control)
    };
    if name.is_some_and(|name| name.trim() != name || !fits(name, 1, GROUP_NAME_CHARS_MAX)) {
        let text = format!("the name of a group has 1 to {GROUP_NAME_CHARS_MAX} characters");
        return Err(Error::Invalid(text));
    }
    if description.is_some_and(|text| !fits(text, 0, DESCRIPTION_CHARS_MAX)) {
        let text =
            format!("the description of a group has at most {DESCRIPTION_CHARS_MAX} characters");
        return Err(Error::Invalid(text));
    }
    Ok(())
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        Self::Search(error)
    }
}

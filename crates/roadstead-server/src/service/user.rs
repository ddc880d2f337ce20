//! Users, sign-ins, access keys, spaces, and the first start.

use std::time::Duration;

use parking_lot::Mutex;
use roadstead_core::port::StoreError;
use roadstead_core::space::Space;
use roadstead_core::user::{AccessKey, Login, Role, User};
use roadstead_core::{Secret, SpaceId, Timestamp, UserId};

use super::recent::Recent;
use super::{Error, Platform};

/// Name of the user that the first start creates.
const ADMIN: &str = "admin";
/// Name of the space that the first start creates.
const DEFAULT_SPACE: &str = "default";
/// Longest sign-in name, bytes.
const USER_NAME_BYTES_MAX: usize = 128;
/// Shortest and longest password, bytes.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
/// Window in which wrong passwords are counted.
const FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// Accounts whose wrong passwords are counted.
const FAILURES_MAX: usize = 10_000;
/// Access keys of one user.
const ACCESS_KEYS_MAX: usize = 20;
/// Letters of access keys.
const KEY_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// Its space; everything it sees lives there.
    pub space: SpaceId,
    /// Its sign-in name.
    pub name: Box<str>,
    /// What it may do.
    pub role: Role,
}

impl Caller {
    /// Returns who a user is as a caller.
    pub fn of(user: &User) -> Self {
        let User { id, space, name, role, .. } = user;
        Self { user: id.clone(), space: space.clone(), name: name.clone(), role: *role }
    }

    /// Checks that the caller has at least this role.
    ///
    /// # Errors
    ///
    /// `api.forbidden`.
    pub fn require(&self, role: Role) -> Result<(), Error> {
        if self.role >= role { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// A user to create.
pub struct NewUser<'a> {
    /// Sign-in name, unique in the instance.
    pub name: &'a str,
    /// Password, at least 8 bytes.
    pub password: &'a Secret,
    /// What it may do.
    pub role: Role,
}

/// A sign-in.
pub struct SignedIn {
    /// Bearer token; only its digest is kept.
    pub token: Secret,
    /// End of its life.
    pub expires_at: Timestamp,
    /// Who signed in.
    pub caller: Caller,
}

/// What the first start made.
pub struct FirstStart {
    /// False when the administrator existed already; nothing else is set then.
    pub created: bool,
    /// The random password, when none was given; write it where only the operator reads.
    pub password: Option<Secret>,
    /// The administrator's access key; write it where only the operator reads.
    pub access_key: Option<AccessKey>,
}

/// Wrong passwords by account name.
pub(super) struct Failures(Mutex<Recent<Box<str>, u32>>);

impl Default for Failures {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(FAILURES_MAX, FAILURE_WINDOW)))
    }
}

impl Platform {
    /// Creates a phone-app user in the default space, if the operator lets anybody sign up.
    ///
    /// # Errors
    ///
    /// `user.sign_up_off`, `user.exists`, `user.bad_password`, `api.bad_request`.
    pub async fn sign_up(&self, name: &str, password: &Secret) -> Result<Caller, Error> {
        if !self.config.app.sign_up {
            return Err(Error::SignUpOff);
        }
        let spaces = self.store.spaces().await?;
        let space = spaces.iter().find(|space| space.is_default).or(spaces.first());
        let space = space.ok_or(Error::NotFound("space"))?;
        self.create_user(&space.id, NewUser { name, password, role: Role::Member }).await
    }

    /// Creates a user.
    ///
    /// # Errors
    ///
    /// `user.exists`, `user.bad_password`, `api.bad_request`.
    pub async fn create_user(&self, space: &SpaceId, new: NewUser<'_>) -> Result<Caller, Error> {
        check_name(new.name)?;
        check_password(new.password)?;
        if self.store.user_by_name(new.name).await?.is_some() {
            return Err(Error::UserExists(new.name.into()));
        }
        let user = User {
            id: UserId::new(self.random.id()),
            space: space.clone(),
            name: new.name.into(),
            role: new.role,
            password_hash: self.passwords.hash(new.password, self.random.bytes()).await?,
            created_at: self.clock.now(),
        };
        let caller = Caller::of(&user);
        match self.store.create_user(user).await {
            Ok(()) => Ok(caller),
            Err(StoreError::Exists) => Err(Error::UserExists(new.name.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Signs in and returns a bearer token that lives for `life`. Costs the same for an unknown
    /// name as for a wrong password.
    ///
    /// # Errors
    ///
    /// `user.bad_password`, `user.too_many_failures`.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        life: Duration,
    ) -> Result<SignedIn, Error> {
        let caller = self.check_sign_in(name, password).await?;
        let (token, expires_at) = self.grant_token(&caller.user, life).await?;
        Ok(SignedIn { token, expires_at, caller })
    }

    /// Checks name and password; see [`Platform::sign_in`].
    pub(super) async fn check_sign_in(
        &self,
        name: &str,
        password: &Secret,
    ) -> Result<Caller, Error> {
        if name.len() > USER_NAME_BYTES_MAX || password.expose().len() > *PASSWORD_BYTES.end() {
            return Err(Error::Password("user name or password is wrong"));
        }
        let now = self.clock.now();
        let failures = self.failures.0.lock().get_mut(name, now).copied();
        if failures.unwrap_or(0) >= self.config.app.sign_in_failures_max {
            self.observer.count("sign_in", "user.too_many_failures");
            return Err(Error::TooManyFailures);
        }
        let user = self.store.user_by_name(name).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            self.count_failure(name, now);
            return Err(Error::Password("user name or password is wrong"));
        };
        self.observer.count("sign_in", "ok");
        let caller = Caller::of(&user);
        Ok(caller)
    }

    fn count_failure(&self, name: &str, now: Timestamp) {
        self.observer.count("sign_in", "user.bad_password");
        let mut failures = self.failures.0.lock();
        match failures.get_mut(name, now) {
            Some(count) => *count += 1,
            None => drop(failures.set(name.into(), 1, now)),
        }
    }

    /// Gives a user who proved itself otherwise (a signed call) a bearer token.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn grant_token(
        &self,
        user: &UserId,
        life: Duration,
    ) -> Result<(Secret, Timestamp), Error> {
        let token = hex::encode(self.random.bytes::<32>());
        let expires_at = self.clock.now() + life;
        let digest = openssl::sha::sha256(token.as_bytes());
        self.store.create_login(Login { digest, user: user.clone(), expires_at }).await?;
        Ok((token.into(), expires_at))
    }

    /// Returns whose bearer token this is.
    ///
    /// # Errors
    ///
    /// `api.unauthenticated`.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, Error> {
        let digest = openssl::sha::sha256(token.as_bytes());
        let login = self.store.login(&digest, self.clock.now()).await?;
        let login = login.ok_or(Error::Unauthenticated)?;
        let user = self.store.user(&login.user).await?.ok_or(Error::Unauthenticated)?;
        Ok(Caller::of(&user))
    }

    /// Ends a sign-in.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn sign_out(&self, token: &str) -> Result<(), Error> {
        Ok(self.store.delete_login(&openssl::sha::sha256(token.as_bytes())).await?)
    }

    /// Returns an access key and whose it is.
    ///
    /// # Errors
    ///
    /// `api.unauthenticated` when there is no such key.
    pub async fn access_key(&self, id: &str) -> Result<(AccessKey, Caller), Error> {
        let key = self.store.access_key(id).await?.ok_or(Error::Unauthenticated)?;
        let user = self.store.user(&key.user).await?.ok_or(Error::Unauthenticated)?;
        Ok((key, Caller::of(&user)))
    }

    /// Creates an access key of the caller; its secret part is shown this once by the API.
    ///
    /// # Errors
    ///
    /// `api.forbidden` for members, `api.quota`.
    pub async fn create_access_key(&self, caller: &Caller) -> Result<AccessKey, Error> {
        caller.require(Role::Viewer)?;
        if self.store.access_keys(&caller.user).await?.len() >= ACCESS_KEYS_MAX {
            return Err(StoreError::Limit("access keys per user").into());
        }
        let key = AccessKey {
            id: letters(&self.random.bytes::<20>()).into(),
            secret: letters(&self.random.bytes::<40>()).into(),
            user: caller.user.clone(),
            created_at: self.clock.now(),
        };
        self.store.create_access_key(key.clone()).await?;
        Ok(key)
    }

    /// Lists the access keys of the caller.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn access_keys(&self, caller: &Caller) -> Result<Vec<AccessKey>, Error> {
        Ok(self.store.access_keys(&caller.user).await?)
    }

    /// Deletes an access key of the caller, or of a user of the space for administrators.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn delete_access_key(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        let key = self.store.access_key(id).await?.ok_or(Error::NotFound("access key"))?;
        if key.user != caller.user {
            let owner = self.store.user(&key.user).await?;
            let manages = caller.role == Role::Admin
                && owner.is_some_and(|owner| owner.space == caller.space);
            if !manages {
                return Err(Error::NotFound("access key"));
            }
        }
        Ok(self.store.delete_access_key(id).await?)
    }

    /// Returns a user of a space, by id or by sign-in name.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn user(&self, space: &SpaceId, id_or_name: &str) -> Result<User, Error> {
        let user = match self.store.user(&id_or_name.into()).await? {
            Some(user) => Some(user),
            None => self.store.user_by_name(id_or_name).await?,
        };
        user.filter(|user| user.space == *space).ok_or(Error::NotFound("user"))
    }

    /// Lists the users of a space by name.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn users(&self, space: &SpaceId) -> Result<Vec<User>, Error> {
        Ok(self.store.users(space).await?)
    }

    /// Changes the role or the password of a user. The last administrator keeps its role; another
    /// password ends the user's sign-ins, not its access keys.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `user.bad_password`, `api.conflict`.
    pub async fn update_user(
        &self,
        space: &SpaceId,
        id: &str,
        role: Option<Role>,
        password: Option<&Secret>,
    ) -> Result<User, Error> {
        let mut user = self.user(space, id).await?;
        if let Some(role) = role {
            if role < Role::Admin {
                self.check_not_last_admin(&user).await?;
            }
            user.role = role;
        }
        if let Some(password) = password {
            check_password(password)?;
            user.password_hash = self.passwords.hash(password, self.random.bytes()).await?;
        }
        self.store.update_user(user.clone()).await?;
        Ok(user)
    }

    /// Deletes a user. The last administrator stays.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.conflict` while it owns devices.
    pub async fn delete_user(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        let user = self.user(space, id).await?;
        self.check_not_last_admin(&user).await?;
        Ok(self.store.delete_user(&user.id).await?)
    }

    async fn check_not_last_admin(&self, user: &User) -> Result<(), Error> {
        if user.role < Role::Admin {
            return Ok(());
        }
        let users = self.store.users(&user.space).await?;
        match users.iter().any(|other| other.role == Role::Admin && other.id != user.id) {
            true => Ok(()),
            false => Err(Error::Conflict("the space needs an administrator".into())),
        }
    }

    /// Lists the spaces that the caller sees: all for administrators of the default space, its own
    /// for everybody else.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn spaces(&self, caller: &Caller) -> Result<Vec<Space>, Error> {
        let mut spaces = self.store.spaces().await?;
        let instance_admin = caller.role == Role::Admin
            && spaces.iter().any(|space| space.is_default && space.id == caller.space);
        if !instance_admin {
            spaces.retain(|space| space.id == caller.space);
        }
        Ok(spaces)
    }

    /// Creates a space.
    ///
    /// # Errors
    ///
    /// `api.bad_request`, `api.conflict` when the name is taken, `api.quota`.
    pub async fn create_space(&self, name: &str) -> Result<Space, Error> {
        check_name(name)?;
        let _gate = self.space_gate.lock().await;
        let max = self.config.quota.spaces;
        if self.store.spaces().await?.len() >= max {
            return Err(Error::Quota(format!("the instance has {max} spaces, the most it may")));
        }
        let space = Space {
            id: SpaceId::new(self.random.id()),
            name: name.into(),
            is_default: false,
            created_at: self.clock.now(),
        };
        self.store.create_space(space.clone()).await?;
        Ok(space)
    }

    /// Makes the default space, its administrator and an access key, unless they exist. A first
    /// start that was interrupted is completed.
    ///
    /// # Errors
    ///
    /// `user.bad_password` for a given password that breaks the rules.
    pub async fn ensure_admin(&self, password: Option<Secret>) -> Result<FirstStart, Error> {
        let spaces = self.store.spaces().await?;
        let space = match spaces.iter().find(|space| space.is_default) {
            Some(space) => space.id.clone(),
            None => {
                let space = Space {
                    id: SpaceId::new(self.random.id()),
                    name: DEFAULT_SPACE.into(),
                    is_default: true,
                    created_at: self.clock.now(),
                };
                let id = space.id.clone();
                self.store.create_space(space).await?;
                id
            }
        };
        if self.store.users(&space).await?.iter().any(|user| user.role == Role::Admin) {
            return Ok(FirstStart { created: false, password: None, access_key: None });
        }
        let made = password.is_none();
        let password = password.unwrap_or_else(|| letters(&self.random.bytes::<20>()).into());
        let new = NewUser { name: ADMIN, password: &password, role: Role::Admin };
        let admin = self.create_user(&space, new).await?;
        let access_key = self.create_access_key(&admin).await?;
        let password = made.then_some(password);
        Ok(FirstStart { created: true, password, access_key: Some(access_key) })
    }
}

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=USER_NAME_BYTES_MAX).contains(&name.len());
    if fits && !name.chars().any(char::is_control) && name.trim() == name {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a name has 1 to {USER_NAME_BYTES_MAX} bytes, no control characters, and no blanks around it"
    )))
}

pub(super) fn check_password(password: &Secret) -> Result<(), Error> {
    match PASSWORD_BYTES.contains(&password.expose().len()) {
        true => Ok(()),
        false => Err(Error::Password("a password has 8 to 256 bytes")),
    }
}

/// Writes random bytes in an alphabet of 32 letters that cannot be mistaken for each other.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(KEY_LETTERS[usize::from(byte % 32)])).collect()
}

//! The conformance suite: what every engine must do, as cases against `dyn Store`.
//!
//! An engine runs it with one line, [`store_suite!`](crate::store_suite). A case gets an empty
//! store. Not here: durability, speed and files, which differ by engine.

mod access;
mod binding;
mod device;
mod fixture;
mod group;
mod history;
mod mqtt;
mod outbox;
mod product;
mod record;
mod shadow;
mod trust;

use std::any::Any;
use std::sync::Arc;

use roadstead_core::port::Store;

/// An empty store for one case, with whatever must live as long.
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn Store>,
    guard: Option<Box<dyn Any + Send>>,
}

impl Fixture {
    /// Wraps a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, guard: None }
    }

    /// Keeps something until the case is over, such as a temporary folder.
    #[must_use]
    pub fn with_guard(self, guard: impl Any + Send) -> Self {
        Self { guard: Some(Box::new(guard)), ..self }
    }
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture").field("guarded", &self.guard.is_some()).finish_non_exhaustive()
    }
}

/// A command for tests of one engine.
#[cfg(test)]
pub(crate) fn outbox_command(
    device: &roadstead_core::DeviceId,
    id: &str,
    at: u64,
) -> roadstead_core::command::queue::Command {
    outbox::command_of(device, id, at as i64)
}

/// Declares the cases: one public function each, and the macro that makes tests of them.
macro_rules! cases {
    ($($module:ident: $($case:ident)+;)+) => {
        $($(
            #[doc = concat!("Case `", stringify!($case), "` of `", stringify!($module), "`.")]
            pub async fn $case(fixture: Fixture) {
                $module::$case(&*fixture.store).await;
            }
        )+)+

        /// Every case by name; a test compares it with what [`store_suite!`] expands to.
        pub const NAMES: &[&str] = &[$($(stringify!($case)),+),+];
    };
}

cases! {
    access:
        spaces_are_unique_and_protected users_are_unique_and_sorted
        deleting_a_user_takes_what_is_its_own access_keys_live_with_their_user
        logins_end logins_per_user_are_bounded;
    product:
        products_are_created_replaced_and_deleted products_are_paged;
    device:
        devices_are_found_by_both_names devices_are_patched devices_are_filtered_and_paged
        deleting_a_device_takes_everything sub_devices_are_bounded imports_are_idempotent
        registration_follows_the_policy presence_follows_epochs recovery_marks_devices_lost
        refusals_are_kept gateways_have_levels devices_that_never_register_are_deleted;
    group:
        tags_are_bound_and_found groups_are_created_and_deleted groups_have_members
        searches_find_what_holds counts_stay_right;
    shadow:
        shadows_apply_changes_in_order shadows_are_bounded
        shadows_change_on_the_expected_version pending_is_ordered_and_bounded;
    binding:
        tokens_are_bounded_and_forgotten a_device_makes_its_own_tokens a_report_binds
        a_report_waits_for_the_app
        bind_refusals_are_noted report_refusals_are_noted rebinding_follows_the_policy
        spaces_do_not_bind_each_other unbinding_ends_everything guests_are_bounded
        transfer_keeps_guests bindings_are_paged;
    history:
        trace_ranges_are_exclusive trace_is_searched_by_space trace_days_are_dropped
        trace_of_a_report_is_kept
        attempts_are_extended attempts_are_filtered overdue_attempts_end;
    mqtt:
        retained_messages_are_replaced parked_sessions_expire queues_are_ordered_and_bounded;
    outbox:
        commands_queue_one_at_a_time commands_are_filtered_and_paged command_timers_fire_once
        sent_commands_are_recovered histories_are_bounded messages_wait_in_order;
    trust:
        trust_objects_are_unique_and_paged policies_are_bound_and_found;
    record:
        records_are_replaced_and_listed records_end_with_their_owner users_are_renamed;
}

/// Expands to one test per case; `$make` builds a [`Fixture`](crate::suite::Fixture) around an
/// empty store.
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => {
        $crate::store_suite! { @cases $make;
            spaces_are_unique_and_protected users_are_unique_and_sorted
            deleting_a_user_takes_what_is_its_own access_keys_live_with_their_user
            logins_end logins_per_user_are_bounded
            products_are_created_replaced_and_deleted products_are_paged
            devices_are_found_by_both_names devices_are_patched devices_are_filtered_and_paged
            deleting_a_device_takes_everything sub_devices_are_bounded imports_are_idempotent
            registration_follows_the_policy presence_follows_epochs recovery_marks_devices_lost
            refusals_are_kept gateways_have_levels devices_that_never_register_are_deleted
            tags_are_bound_and_found groups_are_created_and_deleted groups_have_members
            searches_find_what_holds counts_stay_right
            shadows_apply_changes_in_order shadows_are_bounded
        shadows_change_on_the_expected_version pending_is_ordered_and_bounded
            tokens_are_bounded_and_forgotten a_device_makes_its_own_tokens a_report_binds
        a_report_waits_for_the_app
            bind_refusals_are_noted report_refusals_are_noted rebinding_follows_the_policy
            spaces_do_not_bind_each_other unbinding_ends_everything guests_are_bounded
            transfer_keeps_guests bindings_are_paged
            trace_ranges_are_exclusive trace_is_searched_by_space trace_days_are_dropped
            trace_of_a_report_is_kept
            attempts_are_extended attempts_are_filtered overdue_attempts_end
            retained_messages_are_replaced parked_sessions_expire queues_are_ordered_and_bounded
            commands_queue_one_at_a_time commands_are_filtered_and_paged command_timers_fire_once
            sent_commands_are_recovered histories_are_bounded messages_wait_in_order
            trust_objects_are_unique_and_paged policies_are_bound_and_found
            records_are_replaced_and_listed records_end_with_their_owner users_are_renamed
        }
    };
    (@cases $make:expr; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::suite::$case($make).await;
            }
        )+

        #[test]
        fn no_case_is_left_out() {
            assert_eq!($crate::suite::NAMES, [$(stringify!($case)),+]);
        }
    };
}

//! Raises the process's limit of open files.

/// Raises the limit to `wanted` as far as the system allows; returns what it is now.
#[expect(unsafe_code, reason = "the system call has no safe form without another dependency")]
pub(super) fn raise_open_files(wanted: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live, writable rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 0;
    }
    let now = limit.rlim_cur;
    // The hard limit can be raised by a privileged process only.
    for hard in [wanted.max(limit.rlim_max), limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: wanted.min(hard).max(now), rlim_max: hard };
        // SAFETY: the pointer is to a live rlimit.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            return raised.rlim_cur;
        }
    }
    now
}

#[cfg(test)]
mod tests {
    use super::raise_open_files;

    #[test]
    fn the_limit_never_sinks() {
        let before = raise_open_files(0);
        assert!(before > 0);
        assert_eq!(raise_open_files(1), before);
        assert!(raise_open_files(before + 1) >= before);
    }
}

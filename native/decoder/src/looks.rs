//! Looks from outside at what a descriptor's number, or a relative path, stood for when a record was made. See `ahead.rs`
//! for when such a look is worth anything.
use crate::ahead::Ahead;
use crate::clock::ticks;
use crate::merge::Merge;
use crate::record::Record;
use crate::session::Session;
use crate::target::Target;
use scope_abi as abi;

/// How often a reservation that is not written yet is waited for: some microseconds in all.
const PATIENCE: u32 = 16;

/// The directory that relative paths are seen from. chdir is not recorded: a directory counts where looks before and
/// after the moment in question agree. What came before the first look is taken to have agreed with it.
#[derive(Default)]
pub struct WorkingDirectory {
    path: Option<Vec<u8>>,
    agreed_from: u64,
    agreed_to: u64,
}

impl WorkingDirectory {
    /// At `time`, in ticks; None where it changed about then.
    pub fn at(&mut self, time: u64, target: &Target) -> Option<&[u8]> {
        if self.agreed_to < time || self.path.is_none() {
            self.look(target.working_directory(), ticks());
        }
        (self.agreed_from <= time).then_some(self.path.as_deref()).flatten()
    }

    fn look(&mut self, path: Option<Vec<u8>>, now: u64) {
        // A process that is gone has none: what was known of it goes on.
        let Some(path) = path else { return };
        if self.path.as_ref().is_some_and(|known| *known != path) {
            self.agreed_from = now;
        }
        self.path = Some(path);
        self.agreed_to = now;
    }
}

impl Session {
    /// Whether every record up to now is known to `ahead`. Not so while something was lost whose effects were not
    /// looked for yet, nor without hooks.
    pub(crate) fn know_what_waits(&mut self) -> bool {
        let Self { merge, ahead, .. } = self;
        // Without hooks numbers change hands unseen.
        if self.adopt_again || matches!(merge.file().phase(), abi::PHASE_PATCHING | abi::PHASE_DETACHED) {
            return false;
        }
        let patience = if merge.stalled_for().is_some() { 1 } else { PATIENCE };
        for _ in 0..patience {
            if look_ahead(merge, ahead) {
                return true;
            }
            (0..8).for_each(|_| std::hint::spin_loop());
        }
        false
    }

    /// Whether a number has stood for the same thing from the record at hand up to now.
    pub(crate) fn is_untouched(&mut self, fd: i32) -> bool {
        self.know_what_waits() && !self.ahead.touches(fd)
    }

    /// What a number stood for after the record at hand, as /proc has it; None where that can't be told any more.
    pub(crate) fn look_at(&mut self, fd: i32) -> Option<Vec<u8>> {
        if !self.is_untouched(fd) {
            return None;
        }
        let link = self.target.descriptor(fd)?;
        self.is_untouched(fd).then_some(link)
    }
}

fn look_ahead(merge: &mut Merge, ahead: &mut Ahead) -> bool {
    merge.look_ahead(|bytes| {
        if let Some(record) = Record::parse(bytes, 0) {
            ahead.add(&record);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cwd: &WorkingDirectory, time: u64) -> Option<&str> {
        (cwd.agreed_from <= time)
            .then_some(cwd.path.as_deref())
            .flatten()
            .and_then(|path| std::str::from_utf8(path).ok())
    }

    #[test]
    fn a_directory_counts_where_two_looks_agree() {
        let mut cwd = WorkingDirectory::default();
        cwd.look(Some(b"/a".to_vec()), 100);
        assert_eq!(text(&cwd, 50), Some("/a"));
        cwd.look(Some(b"/a".to_vec()), 200);
        assert_eq!((text(&cwd, 150), cwd.agreed_to), (Some("/a"), 200));
        cwd.look(Some(b"/b".to_vec()), 300);
        assert_eq!((text(&cwd, 250), text(&cwd, 300)), (None, Some("/b")));
        cwd.look(None, 400);
        assert_eq!((text(&cwd, 300), cwd.agreed_to), (Some("/b"), 300));
    }
}

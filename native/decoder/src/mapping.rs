//! The one place where shared memory is touched. Rules:
//! - the target may change any byte at any time: words are read once, atomically, and everything else is copied out
//!   before it is looked at
//! - every access is checked against the mapping's length, which was the file's when it was mapped
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A file mapped for reading and writing (the reader moves the rings' tails). Unmapped when dropped.
pub struct Mapping {
    base: *mut u8,
    length: usize,
}

// SAFETY: the mapping is plain shared memory, bound to no thread; every access goes through atomics or a racy copy
// whose result is treated as arbitrary bytes.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the whole of a file that a target can reach, which must be sealed against shrinking: reading past a shrunk
    /// file's end would be a SIGBUS.
    pub fn sealed(file: &File) -> io::Result<Self> {
        // SAFETY: a plain call on a descriptor that we hold.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it can be shrunk"));
        }
        Self::new(file)
    }

    /// Maps the whole of a file that nobody shrinks.
    pub fn new(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
        }
        // SAFETY: plain calls on a descriptor that we hold; the result is checked.
        unsafe {
            let base = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            );
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { base: base.cast(), length })
        }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset.checked_add(8).is_some_and(|end| end <= self.length));
        // SAFETY: in bounds and aligned (just asserted); mapped as long as `self` lives.
        unsafe { AtomicU64::from_ptr(self.base.add(offset).cast()) }
    }

    /// The word at `offset`, a multiple of 8. Panics when out of bounds.
    #[inline]
    pub fn load(&self, offset: usize, order: Ordering) -> u64 {
        self.word(offset).load(order)
    }

    #[inline]
    pub fn store(&self, offset: usize, value: u64, order: Ordering) {
        self.word(offset).store(value, order);
    }

    /// Puts 0 there, and gives what was.
    pub fn take(&self, offset: usize) -> u64 {
        self.word(offset).swap(0, Ordering::Relaxed)
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < self.length);
        // SAFETY: in bounds (just asserted); mapped as long as `self` lives.
        unsafe { AtomicU8::from_ptr(self.base.add(offset)) }
    }

    #[inline]
    pub fn load_byte(&self, offset: usize) -> u8 {
        self.byte(offset).load(Ordering::Relaxed)
    }

    /// Replaces a byte that is `from`, in one order with everything else that both sides do. False: it is another one.
    pub fn exchange_byte(&self, offset: usize, from: u8, to: u8) -> bool {
        self.byte(offset).compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Replaces `into` by a copy of [offset, offset + length). Panics when out of bounds.
    #[inline]
    pub fn copy_out(&self, offset: usize, length: usize, into: &mut Vec<u8>) {
        assert!(offset.checked_add(length).is_some_and(|end| end <= self.length));
        into.clear();
        into.reserve(length);
        // SAFETY: source in bounds (just asserted), destination reserved, no overlap. A write that races with it can
        // only change which bytes are copied.
        unsafe {
            std::ptr::copy_nonoverlapping(self.base.add(offset), into.as_mut_ptr(), length);
            into.set_len(length);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; no reference into it outlives `self`.
        unsafe {
            libc::munmap(self.base.cast(), self.length);
        }
    }
}

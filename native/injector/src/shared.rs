//! Our own view of the memory shared with a target. The target can write all of it at any time: what is read from it
//! is copied out once, and every offset and count is checked against the file's real size.
use crate::refusal::{Reason, Refusal, Result};
use scope_abi as abi;
use std::fs::File;
use std::os::fd::AsRawFd;

pub struct SharedMemory {
    at: *mut u8,
    length: usize,
}

impl SharedMemory {
    /// Maps the whole file.
    pub fn map(file: &File) -> Result<Self> {
        let length = file.metadata().map_err(|e| Refusal::internal(format!("measuring the shared memory: {e}")))?.len();
        let length = usize::try_from(length).unwrap_or(0);
        // SAFETY: a shared mapping of a memfd that is never shrunk (a target that does harms only this short-lived
        // process); unmapped in drop.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(Refusal::internal(format!("mapping the shared memory: {}", std::io::Error::last_os_error())));
        }
        Ok(Self { at: at.cast(), length })
    }

    fn check<T>(&self, offset: u64, count: u64) -> Result<*mut T> {
        let bytes = (size_of::<T>() as u64).checked_mul(count).and_then(|n| n.checked_add(offset));
        match bytes {
            Some(end) if end <= self.length as u64 && offset.is_multiple_of(align_of::<T>() as u64) => {
                // SAFETY: within the mapping, by the test above.
                Ok(unsafe { self.at.add(usize::try_from(offset).unwrap_or(0)) }.cast())
            }
            _ => Err(Refusal::new(Reason::ABIMismatch, "the shared memory is not laid out as this version makes it")),
        }
    }

    /// Copies a value out. `T` is one of the ABI's plain structures: any bytes are a value of it.
    pub fn read<T: Copy>(&self, offset: u64) -> Result<T> {
        let p = self.check::<T>(offset, 1)?;
        // SAFETY: checked; plain data, read as a whole although the target may be writing it.
        Ok(unsafe { p.read_volatile() })
    }

    pub fn write<T: Copy>(&self, offset: u64, value: &T) -> Result<()> {
        let p = self.check::<T>(offset, 1)?;
        // SAFETY: checked; nobody holds a reference into the mapping.
        unsafe { p.write_volatile(*value) };
        Ok(())
    }

    pub fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let p = self.check::<u8>(offset, bytes.len() as u64)?;
        // SAFETY: checked; source and destination do not overlap.
        unsafe { p.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    pub fn read_bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let p = self.check::<u8>(offset, length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        // SAFETY: checked; a copy, whatever the target writes meanwhile.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(p, bytes.len()) };
        Ok(bytes)
    }

    pub fn header(&self) -> Result<abi::Shared> {
        self.read(0)
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, unmapped once.
        unsafe { libc::munmap(self.at.cast(), self.length) };
    }
}

//! From ticks of the processor's clock to wall-clock nanoseconds.
//!
//! The payload stamps records with rdtsc, which costs nothing. Every second a pair (ticks, CLOCK_REALTIME) is taken and
//! times are told from the newest one; the rate comes from CLOCK_MONOTONIC_RAW over the longest stretch seen.
use std::sync::OnceLock;
use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;
/// Enough for a first rate that is off by less than a microsecond a second.
const FIRST_STRETCH: Duration = Duration::from_millis(4);

/// Ticks now.
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: rdtsc is there on every x86-64.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn read_clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given.
    unsafe { libc::clock_gettime(id, &mut now) };
    now.tv_sec as u64 * SECOND_NS + now.tv_nsec as u64
}

/// Processor time that this thread has used, in nanoseconds: what it was kept waiting for is not in it.
pub fn worked_ns() -> u64 {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CLOCK_REALTIME, nanoseconds since 1970.
#[cfg(test)]
fn wall_ns() -> u64 {
    read_clock(libc::CLOCK_REALTIME)
}

/// The clock and the ticks at one moment: the best of a few readings between two of the ticks.
fn pair(id: libc::clockid_t) -> (u64, u64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..5 {
        let before = ticks();
        let now = read_clock(id);
        let after = ticks();
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before.wrapping_add(width / 2), now);
        }
    }
    (best.1, best.2)
}

fn origin() -> (u64, u64) {
    static ORIGIN: OnceLock<(u64, u64)> = OnceLock::new();
    *ORIGIN.get_or_init(|| {
        let first = pair(libc::CLOCK_MONOTONIC_RAW);
        std::thread::sleep(FIRST_STRETCH);
        first
    })
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    ticks: u64,
    wall: u64,
    /// Nanoseconds per tick, times 2^32.
    rate: u64,
}

impl Clock {
    /// Takes the first pair. The first one of a program waits some milliseconds for its rate.
    pub fn new() -> Self {
        let mut clock = Self { ticks: 0, wall: 0, rate: 0 };
        clock.calibrate();
        clock
    }

    /// Takes a new pair, when the last is older than a second.
    pub fn tend(&mut self, now: u64) {
        if self.ns_of(now.saturating_sub(self.ticks)) >= SECOND_NS {
            self.calibrate();
        }
    }

    fn calibrate(&mut self) {
        let (ticks0, raw0) = origin();
        let (ticks1, raw1) = pair(libc::CLOCK_MONOTONIC_RAW);
        let span = u128::from(ticks1.saturating_sub(ticks0).max(1));
        self.rate = ((u128::from(raw1.saturating_sub(raw0)) << 32) / span) as u64;
        (self.ticks, self.wall) = pair(libc::CLOCK_REALTIME);
    }

    /// Nanoseconds that so many ticks are.
    #[inline]
    pub fn ns_of(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.rate)) >> 32) as u64
    }

    /// Ticks that so many nanoseconds are.
    pub fn ticks_of(&self, ns: u64) -> u64 {
        ((u128::from(ns) << 32) / u128::from(self.rate.max(1))) as u64
    }

    /// Wall-clock nanoseconds since 1970 at a tick, before or after the newest pair.
    #[inline]
    pub fn wall_of(&self, ticks: u64) -> u64 {
        if ticks >= self.ticks {
            self.wall.saturating_add(self.ns_of(ticks - self.ticks))
        } else {
            self.wall.saturating_sub(self.ns_of(self.ticks - ticks))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_wall_clock_within_a_millisecond() {
        let clock = Clock::new();
        std::thread::sleep(Duration::from_millis(20));
        let told = clock.wall_of(ticks());
        assert!(told.abs_diff(wall_ns()) < 1_000_000);
    }

    #[test]
    fn goes_backwards_too_and_never_overflows() {
        let clock = Clock::new();
        assert!(clock.wall_of(0) <= clock.wall_of(clock.ticks));
        clock.wall_of(u64::MAX);
        assert!(clock.ticks_of(SECOND_NS).abs_diff(clock.ticks_of(2 * SECOND_NS) / 2) < 2);
    }
}

//! What each descriptor's number stands for. Several numbers may stand for one open description (dup): it carries the
//! counts, and it is closed with the last of its numbers.
use crate::protocols::console::ConsoleLines;
use crate::socket::Socket;
use crate::stats::{Moved, Spent};
use rustc_hash::FxHashMap;

/// Numbers below this are found by index.
const DENSE: usize = 1 << 16;
/// The kernel's own default bound (fs.nr_open): a record that claims more of them lies.
const MOST: usize = 1 << 20;

pub enum What {
    /// A file, a pipe (`pipe:[…]`) or something anonymous (`anon_inode:[eventpoll]`), by its path.
    Path {
        path: Box<[u8]>,
        is_regular: bool,
    },
    Socket(Box<Socket>),
}

/// One open description.
pub struct Description {
    pub what: What,
    /// The number that it was first known by.
    pub fd: i32,
    /// Ticks.
    pub opened: u64,
    pub adopted: bool,
    pub read: Moved,
    pub write: Moved,
    /// Where durations are asked for.
    pub read_time: Spent,
    pub write_time: Spent,
    /// The last error after which nothing moves.
    pub error: Option<&'static str>,
    /// Its close will say what was counted here.
    pub is_told: bool,
    /// Sum of the calls when its progress was last told.
    pub told_calls: u64,
    /// What was written to it as descriptor 1, and as 2.
    pub consoles: Option<Box<[ConsoleLines; 2]>>,
    /// Unlike any other description's of its table.
    pub serial: u64,
    numbers: u32,
}

impl Description {
    pub fn new(what: What, fd: i32, opened: u64, adopted: bool) -> Self {
        Self {
            what,
            fd,
            opened,
            adopted,
            read: Moved::default(),
            write: Moved::default(),
            read_time: Spent::default(),
            write_time: Spent::default(),
            error: None,
            is_told: false,
            told_calls: 0,
            consoles: None,
            serial: 0,
            numbers: 0,
        }
    }

    pub fn socket(&mut self) -> Option<&mut Socket> {
        match &mut self.what {
            What::Socket(socket) => Some(socket),
            What::Path { .. } => None,
        }
    }

    pub fn calls(&self) -> u64 {
        self.read.calls.saturating_add(self.write.calls)
    }
}

/// Where a description stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u32);

#[derive(Default)]
pub struct Descriptors {
    dense: Vec<Option<Key>>,
    sparse: FxHashMap<i32, Key>,
    all: Vec<Option<Box<Description>>>,
    free: Vec<u32>,
    count: usize,
    serial: u64,
}

impl Descriptors {
    /// Numbers in use.
    pub fn len(&self) -> usize {
        self.count
    }

    #[inline]
    pub fn key(&self, fd: i32) -> Option<Key> {
        match usize::try_from(fd) {
            Ok(index) if index < DENSE => *self.dense.get(index)?,
            Ok(_) => self.sparse.get(&fd).copied(),
            Err(_) => None,
        }
    }

    /// Panics where the key is no longer in use: keys are not kept.
    #[inline]
    pub fn at(&mut self, key: Key) -> &mut Description {
        self.all[key.0 as usize].as_mut().expect("a key of a description in use")
    }

    pub fn get(&mut self, fd: i32) -> Option<&mut Description> {
        let key = self.key(fd)?;
        Some(self.at(key))
    }

    fn set(&mut self, fd: i32, key: Option<Key>) {
        let Ok(index) = usize::try_from(fd) else { return };
        if index < DENSE {
            if index >= self.dense.len() {
                self.dense.resize(index + 1, None);
            }
            self.dense[index] = key;
        } else if let Some(key) = key {
            self.sparse.insert(fd, key);
        } else {
            self.sparse.remove(&fd);
        }
    }

    /// Lets a number, which must be free, stand for a new description. None: there are too many.
    pub fn insert(&mut self, fd: i32, description: Description) -> Option<Key> {
        debug_assert!(self.key(fd).is_none());
        if fd < 0 || self.count >= MOST {
            return None;
        }
        let mut description = Box::new(description);
        description.numbers = 1;
        self.serial += 1;
        description.serial = self.serial;
        let key = match self.free.pop() {
            Some(index) => {
                self.all[index as usize] = Some(description);
                Key(index)
            }
            None => {
                self.all.push(Some(description));
                Key(self.all.len() as u32 - 1)
            }
        };
        self.count += 1;
        self.set(fd, Some(key));
        Some(key)
    }

    /// Lets another number, which must be free, stand for the same description.
    pub fn alias(&mut self, key: Key, fd: i32) {
        debug_assert!(self.key(fd).is_none());
        if fd < 0 || self.count >= MOST {
            return;
        }
        self.at(key).numbers += 1;
        self.count += 1;
        self.set(fd, Some(key));
    }

    /// Frees a number. The description, when that was its last one.
    pub fn remove(&mut self, fd: i32) -> Option<Box<Description>> {
        let key = self.key(fd)?;
        self.set(fd, None);
        self.count -= 1;
        let description = self.at(key);
        description.numbers -= 1;
        if description.numbers > 0 {
            return None;
        }
        self.free.push(key.0);
        self.all[key.0 as usize].take()
    }

    /// Numbers in use from `first` to `last`, in order.
    pub fn numbers(&self, first: u32, last: u32) -> Vec<i32> {
        let dense_end = (last as usize).min(self.dense.len().saturating_sub(1));
        let mut numbers: Vec<i32> = (first as usize..=dense_end)
            .filter(|&index| self.dense.get(index).is_some_and(Option::is_some))
            .map(|index| index as i32)
            .collect();
        let in_range = |fd: &&i32| (first..=last).contains(&(**fd as u32));
        let at = numbers.len();
        numbers.extend(self.sparse.keys().filter(in_range));
        numbers[at..].sort_unstable();
        numbers
    }

    pub fn all(&mut self) -> impl Iterator<Item = &mut Description> {
        self.all.iter_mut().flatten().map(|description| &mut **description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(fd: i32) -> Description {
        Description::new(What::Path { path: b"/x".as_slice().into(), is_regular: true }, fd, 0, false)
    }

    #[test]
    fn closes_with_the_last_number() {
        let mut table = Descriptors::default();
        let key = table.insert(3, file(3)).expect("room");
        table.alias(key, 70_000);
        assert_eq!(table.numbers(0, u32::MAX), [3, 70_000]);
        assert!(table.remove(3).is_none());
        assert!(table.remove(3).is_none());
        assert!(table.remove(70_000).is_some());
        assert_eq!(table.len(), 0);
        assert_eq!(table.insert(5, file(5)), Some(key), "places are used again");
    }

    #[test]
    fn takes_no_negative_numbers() {
        let mut table = Descriptors::default();
        assert_eq!(table.insert(-1, file(-1)), None);
        assert!(table.key(-100).is_none() && table.numbers(5, 2).is_empty());
    }
}

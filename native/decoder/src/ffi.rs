//! The C side, as include/scope_decoder.h tells it. No call unwinds into C.
#![allow(non_camel_case_types)]
use crate::event_writer::put_string;
use crate::hub::{Batch, BatchKind, Hub};
use crate::opening::Refusal;
use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

const BATCH_EVENTS: u32 = 1;
const BATCH_END: u32 = 2;

pub type scope_batch_callback = Option<unsafe extern "C" fn(*mut c_void, *const scope_batch)>;

#[repr(C)]
pub struct scope_batch {
    session: u64,
    kind: u32,
    bytes: *const u8,
    length: usize,
    summary: *const u8,
    summary_length: usize,
    events: u64,
}

pub struct scope_hub(Hub);

/// The context belongs to the callback's owner, who promised that the hub's thread may use it.
struct Context(*mut c_void);
// SAFETY: only handed back to the callback, whose contract is that it is called on the hub's own thread.
unsafe impl Send for Context {}

impl Context {
    fn get(&self) -> *mut c_void {
        self.0
    }
}

fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

fn to_c(text: String) -> *mut c_char {
    CString::new(text).map_or(std::ptr::null_mut(), CString::into_raw)
}

/// # Safety
/// `callback` may be called with `context` on any thread until `scope_hub_free` has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_new(
    callback: scope_batch_callback,
    context: *mut c_void,
    max_in_flight: u32,
) -> *mut scope_hub {
    guarded(std::ptr::null_mut(), || {
        let Some(callback) = callback else { return std::ptr::null_mut() };
        let context = Context(context);
        let hub = Hub::new(max_in_flight, move |batch: Batch| {
            let kind = match batch.kind {
                BatchKind::Events => BATCH_EVENTS,
                BatchKind::End => BATCH_END,
            };
            let batch = scope_batch {
                session: batch.session,
                kind,
                bytes: batch.bytes.as_ptr(),
                length: batch.bytes.len(),
                summary: batch.summary.as_ptr(),
                summary_length: batch.summary.len(),
                events: batch.events,
            };
            // SAFETY: the caller's promise; the batch and its bytes live until the callback returns.
            unsafe { callback(context.get(), &raw const batch) };
        });
        hub.map_or(std::ptr::null_mut(), |hub| Box::into_raw(Box::new(scope_hub(hub))))
    })
}

/// # Safety
/// `hub` comes from `scope_hub_new`; `config` points to `length` bytes; `error` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_open(
    hub: *mut scope_hub,
    config: *const c_char,
    length: usize,
    error: *mut *mut c_char,
) -> u64 {
    let opened =
        guarded(Err(Refusal { reason: "InternalError", message: "The decoder met a bug of its own.".into() }), || {
            // SAFETY: the caller's promise.
            let (hub, config) = unsafe { (&(*hub).0, std::slice::from_raw_parts(config.cast::<u8>(), length)) };
            hub.open(config)
        });
    let (session, text) = match opened {
        Ok(session) => (session, std::ptr::null_mut()),
        Err(Refusal { reason, message }) => {
            let mut text = format!("{{\"reason\":\"{reason}\",\"message\":").into_bytes();
            put_string(&mut text, message.as_bytes());
            text.push(b'}');
            (0, to_c(String::from_utf8_lossy(&text).into_owned()))
        }
    };
    if error.is_null() {
        // SAFETY: ours, made just now, or null.
        unsafe { scope_string_free(text) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { *error = text };
    }
    session
}

/// # Safety
/// `hub` comes from `scope_hub_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_flush(hub: *mut scope_hub, session: u64) -> u64 {
    // SAFETY: the caller's promise.
    guarded(0, || unsafe { &(*hub).0 }.flush(session))
}

/// # Safety
/// `hub` comes from `scope_hub_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_stats(hub: *mut scope_hub, session: u64) -> *mut c_char {
    guarded(std::ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let stats = unsafe { &(*hub).0 }.stats(session);
        stats.map_or(std::ptr::null_mut(), |stats| to_c(stats.to_json()))
    })
}

/// # Safety
/// `hub` comes from `scope_hub_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_close(hub: *mut scope_hub, session: u64) -> c_int {
    // SAFETY: the caller's promise.
    guarded(0, || c_int::from(unsafe { &(*hub).0 }.close(session)))
}

/// # Safety
/// `hub` comes from `scope_hub_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_ack(hub: *mut scope_hub, _session: u64) {
    // SAFETY: the caller's promise.
    guarded((), || unsafe { &(*hub).0 }.ack());
}

/// # Safety
/// `hub` comes from `scope_hub_new` and is not used again; or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_hub_free(hub: *mut scope_hub) {
    if !hub.is_null() {
        // SAFETY: the caller's promise.
        guarded((), || drop(unsafe { Box::from_raw(hub) }));
    }
}

/// # Safety
/// `text` comes from this library and is not used again; or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn scope_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        guarded((), || drop(unsafe { CString::from_raw(text) }));
    }
}

//! Names of the errors that calls give back (include/uapi/asm-generic/errno*.h).

/// The name of a negative result; `_OTHER` for one that has none here.
pub fn name(result: i64) -> &'static str {
    match -result {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        7 => "E2BIG",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        16 => "EBUSY",
        17 => "EEXIST",
        18 => "EXDEV",
        19 => "ENODEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        23 => "ENFILE",
        24 => "EMFILE",
        26 => "ETXTBSY",
        27 => "EFBIG",
        28 => "ENOSPC",
        30 => "EROFS",
        31 => "EMLINK",
        32 => "EPIPE",
        36 => "ENAMETOOLONG",
        38 => "ENOSYS",
        39 => "ENOTEMPTY",
        40 => "ELOOP",
        75 => "EOVERFLOW",
        88 => "ENOTSOCK",
        89 => "EDESTADDRREQ",
        91 => "EPROTOTYPE",
        92 => "ENOPROTOOPT",
        93 => "EPROTONOSUPPORT",
        94 => "ESOCKTNOSUPPORT",
        95 => "EOPNOTSUPP",
        97 => "EAFNOSUPPORT",
        98 => "EADDRINUSE",
        99 => "EADDRNOTAVAIL",
        100 => "ENETDOWN",
        101 => "ENETUNREACH",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        106 => "EISCONN",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        112 => "EHOSTDOWN",
        113 => "EHOSTUNREACH",
        114 => "EALREADY",
        115 => "EINPROGRESS",
        116 => "ESTALE",
        122 => "EDQUOT",
        _ => "_OTHER",
    }
}

/// The name of a result after which a descriptor carries nothing more: its other side, its device or the room on it is gone.
pub fn ending(result: i64) -> Option<&'static str> {
    match name(result) {
        error @ ("ECONNRESET" | "EPIPE" | "ETIMEDOUT" | "EHOSTUNREACH" | "ENETUNREACH" | "ECONNABORTED" | "EIO"
        | "ENXIO" | "ENODEV" | "EFBIG" | "ENOSPC" | "ESTALE" | "EDQUOT") => Some(error),
        _ => None,
    }
}

pub const EAGAIN: i64 = -11;
pub const EINTR: i64 = -4;
pub const EISCONN: i64 = -106;
pub const EALREADY: i64 = -114;
pub const EINPROGRESS: i64 = -115;

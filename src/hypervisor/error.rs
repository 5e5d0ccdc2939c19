//! Errors of a hypervisor connection, typed by what a caller does about them.
//!
//! libvirt's numbers (virterror.h) are part of its ABI and never change, so the few that
//! matter here stand as constants and the library needs no libvirt header.

/// An operation on a connection failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HypervisorError {
    /// No domain has this ID, UUID or name.
    #[error("no domain '{given}' on '{uri}'")]
    NoDomain {
        /// What the user gave.
        given: String,
        /// Where it was looked for.
        uri: String,
    },
    /// The connection was opened read-only and this needs more.
    #[error("cannot {doing} on a read-only connection")]
    ReadOnly {
        /// What was tried, as a verb phrase: `read the secrets of a domain`.
        doing: String,
    },
    /// No connection was made. The codes are those of a connection that was lost (a socket that
    /// refuses looks the same), so this is told apart by when it happened.
    #[error("cannot connect to {}", place(.uri.as_deref()))]
    Connect {
        /// Where to; libvirt's own choice where it is absent.
        uri: Option<String>,
        /// What libvirt said.
        #[source]
        source: LibvirtError,
    },
    /// libvirt said no.
    #[error("cannot {doing}")]
    Libvirt {
        /// What was tried, as a verb phrase.
        doing: String,
        /// What libvirt said.
        #[source]
        source: LibvirtError,
    },
    /// libvirt answered something that is not what its documentation says.
    #[error("cannot {doing}: libvirt's answer is not understood: {problem}")]
    BadAnswer {
        /// What was tried, as a verb phrase.
        doing: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// An error as libvirt reported it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LibvirtError {
    /// `virErrorNumber`.
    pub code: u32,
    /// `virErrorDomain`: the part of libvirt that failed.
    pub domain: u32,
    /// libvirt's message, verbatim.
    pub message: String,
}

impl LibvirtError {
    /// The way to the daemon failed, not what was asked of it.
    fn is_of_the_transport(&self) -> bool {
        let transport = [FROM_RPC, FROM_REMOTE].contains(&self.domain);
        match self.code {
            INVALID_CONN => true,
            INTERNAL_ERROR | SYSTEM_ERROR | RPC => transport,
            _ => false,
        }
    }
}

fn place(uri: Option<&str>) -> String {
    uri.map_or_else(|| "libvirt".to_owned(), |uri| format!("'{uri}'"))
}

const INTERNAL_ERROR: u32 = 1;
const NO_CONNECT: u32 = 5;
const INVALID_CONN: u32 = 6;
const OPERATION_DENIED: u32 = 29;
const SYSTEM_ERROR: u32 = 38;
const RPC: u32 = 39;
const NO_DOMAIN: u32 = 42;
const AUTH_FAILED: u32 = 45;
const AUTH_CANCELLED: u32 = 79;
const ACCESS_DENIED: u32 = 88;
const AUTH_UNAVAILABLE: u32 = 94;

const FROM_RPC: u32 = 7;
const FROM_REMOTE: u32 = 13;

impl HypervisorError {
    /// The domain does not exist (any more).
    pub fn is_no_domain(&self) -> bool {
        matches!(self, HypervisorError::NoDomain { .. }) || self.code() == Some(NO_DOMAIN)
    }

    /// More privilege is needed: a read-write connection, another user, an authorization.
    pub fn is_denied(&self) -> bool {
        let denied = [
            OPERATION_DENIED,
            AUTH_FAILED,
            AUTH_CANCELLED,
            ACCESS_DENIED,
            AUTH_UNAVAILABLE,
        ];
        matches!(self, HypervisorError::ReadOnly { .. })
            || self.code().is_some_and(|code| denied.contains(&code))
    }

    /// The daemon went away, or stopped answering, on an open connection: whether the operation
    /// happened is unknown until a new connection tells.
    pub fn is_connection_lost(&self) -> bool {
        let HypervisorError::Libvirt { source, .. } = self else {
            return false;
        };
        source.is_of_the_transport()
    }

    /// No connection could be made at all: wrong URI, no daemon, no such host.
    pub fn is_unreachable(&self) -> bool {
        let HypervisorError::Connect { source, .. } = self else {
            return false;
        };
        source.code == NO_CONNECT || source.is_of_the_transport()
    }

    /// libvirt's own error, when there is one.
    pub fn libvirt(&self) -> Option<&LibvirtError> {
        match self {
            HypervisorError::Libvirt { source, .. } | HypervisorError::Connect { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }

    fn code(&self) -> Option<u32> {
        self.libvirt().map(|error| error.code)
    }
}

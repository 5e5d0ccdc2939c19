//! One redefine at a time on one host, whoever runs it: root and the members of the group libvirt have
//! directories of their own for their backups, and what locks these does not keep them apart.

use std::fs::File;
use std::time::{Duration, Instant};

use super::capabilities::is_local;

/// Where the daemon's sockets are. Everyone who can reach it can read this, and a lock needs no more.
const PLACES: [&str; 2] = ["/run/libvirt", "/var/run/libvirt"];

/// How long another may take; a redefine whose connection is lost takes the longest.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until no other virt-patch of this host redefines something; held until the value is dropped, also
/// when the process is killed. `None` where that cannot be had: on another host, without such a directory, and
/// after a time in which nothing that works holds it. It comes on top of reading the definition again.
pub(super) fn of(uri: &str) -> Option<File> {
    if !is_local(uri) {
        return None;
    }
    let directory = PLACES.iter().find_map(|place| File::open(place).ok())?;
    let began = Instant::now();
    while directory.try_lock().is_err() {
        if began.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(directory)
}

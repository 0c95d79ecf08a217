//! Where we differ from the Docker CLI on purpose: the one list, for fixtures and generated sets.

use serde_json::Value;

use super::proof::{self, Refusal};

pub struct Accepted {
    /// The folder under `tests/fixtures/compose/` that shows it.
    pub fixture: &'static str,
    pub how: How,
    #[expect(dead_code, reason = "for whoever reads the list")]
    pub reason: &'static str,
}

/// How a difference is recognised.
pub enum How {
    /// The Docker CLI refuses the files with these words, and we take them.
    Taken(&'static str),
    /// We refuse the files with errors that have these words (all are of accepted differences), and the Docker CLI takes
    /// them. The proof looks for the stated reason in what it sends.
    Refused(&'static str, fn(&Refusal) -> bool),
    /// Both take the files; this makes what we send (first) what the Docker CLI sends.
    Sent(fn(&mut Value, &Value)),
}

pub const ACCEPTED: &[Accepted] = &[
    Accepted {
        fixture: "wanted-tmpfs",
        how: How::Sent(without_service_tmpfs),
        reason: "service-level tmpfs is dropped silently by the Docker CLI",
    },
    Accepted {
        fixture: "wanted-versions-differ",
        how: How::Taken("version mismatched between two composefiles"),
        reason: "recipes mix files with and without a version",
    },
    Accepted {
        fixture: "wanted-extensions-of-two-kinds",
        how: How::Taken("cannot append two slices with different type"),
        reason: "the Docker CLI merges the extensions of a service, which mean nothing",
    },
    Accepted {
        fixture: "wanted-one-letter-volume",
        how: How::Refused("one letter before a colon is taken for a Windows drive", proof::drive),
        reason: "the Docker CLI mounts an anonymous volume at \"v:/x\"",
    },
    Accepted {
        fixture: "wanted-long-name",
        how: How::Refused(" are allowed", proof::long_name),
        reason: "the Engine refuses it, after other objects have been made",
    },
    Accepted {
        fixture: "wanted-number-out-of-range",
        how: How::Refused("is out of range", proof::number_out_of_range),
        reason: "the Docker CLI sends a number that 64 bits do not hold (a file mode: 32) as another one",
    },
    Accepted {
        fixture: "wanted-port-out-of-range",
        how: How::Refused("which is no port (0 to 65535)", proof::no_port),
        reason: "the Engine refuses it, after other objects have been made",
    },
    Accepted {
        fixture: "wanted-host-with-a-number",
        how: How::Refused(".extra_hosts.", proof::host_of_a_number),
        reason: "the Docker CLI makes the address %!s(int=1) of a number",
    },
    Accepted {
        fixture: "wanted-mount-of-another-type",
        how: How::Refused("is not supported; use volume, bind or tmpfs", proof::other_mount),
        reason: "images, named pipes and cluster volumes need Engines or systems that a NixOS host does not have",
    },
    Accepted {
        fixture: "wanted-credential-spec-of-a-config",
        how: How::Refused("credential_spec.config is not supported", proof::credential_spec),
        reason: "a means of Windows alone",
    },
    Accepted {
        fixture: "wanted-forgotten-fault",
        how: How::Refused("invalid interpolation format for ", proof::forgotten_fault),
        reason: "the Docker CLI forgets a fault before another variable, and a $",
    },
    Accepted {
        fixture: "wanted-empty-content",
        how: How::Refused("is empty", proof::empty_content),
        reason: "the Engine refuses it, after other objects have been made",
    },
    Accepted {
        fixture: "wanted-impossible-name",
        how: How::Refused("is no name for a ", proof::impossible_name),
        reason: "the Engine refuses it, after other objects have been made",
    },
];

/// The mounts of `tmpfs:` stand behind those of `volumes:`.
fn without_service_tmpfs(ours: &mut Value, theirs: &Value) {
    let bodies = ours.as_array_mut().into_iter().flatten().zip(theirs.as_array().into_iter().flatten());
    for (ours, theirs) in bodies {
        let path = "/1/TaskTemplate/ContainerSpec/Mounts";
        let count = theirs.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
        let Some(mounts) = ours.pointer_mut(path).and_then(Value::as_array_mut) else { continue };
        while mounts.len() > count && mounts.last().is_some_and(|mount| mount["Type"] == "tmpfs") {
            mounts.pop();
        }
        if mounts.is_empty() {
            let container = ours.pointer_mut("/1/TaskTemplate/ContainerSpec").and_then(Value::as_object_mut);
            container.expect("it holds the mounts").remove("Mounts");
        }
    }
}

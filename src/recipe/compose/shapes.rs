//! The Docker CLI's compose schema 3.13 as shapes.

use super::schema::Names::{Any, Plain};
use super::schema::Rest::{Allowed, Extensions, Refused};
use super::schema::Shape::{
    self, Anything, AtLeast, Bool, Duration, Either, Fields, Integer, List, Named, Nullable, Number, OneOf, Set, Text,
    TextOrNull, TextOrNumber, TextOrNumberOrNull,
};

pub const FILE: Shape = Fields(
    &[
        ("version", Text),
        ("services", Named(&SERVICE, Plain)),
        ("networks", Named(&NETWORK, Any)),
        ("volumes", Named(&VOLUME, Plain)),
        ("secrets", Named(&SECRET, Plain)),
        ("configs", Named(&CONFIG, Plain)),
    ],
    Extensions,
);

const STRINGS: Shape = Set(&Text);
const TEXT_OR_STRINGS: Shape = Either(&[Text, STRINGS]);
const TEXT_OR_LIST: Shape = Either(&[Text, List(&Text)]);
const PAIRS: Shape = Either(&[Named(&TextOrNumberOrNull, Any), STRINGS]);
const OPTIONS: Shape = Named(&TextOrNumber, Any);

const SERVICE: Shape = Fields(
    &[
        ("build", Either(&[Text, Named(&Anything, Any)])),
        ("cap_add", STRINGS),
        ("cap_drop", STRINGS),
        ("cgroup_parent", Text),
        ("cgroupns_mode", Text),
        ("command", TEXT_OR_LIST),
        ("configs", List(&FILE_REFERENCE)),
        ("container_name", Text),
        ("credential_spec", Fields(&[("config", Text), ("file", Text), ("registry", Text)], Refused)),
        ("depends_on", STRINGS),
        ("deploy", Nullable(&DEPLOY)),
        ("devices", STRINGS),
        ("dns", TEXT_OR_STRINGS),
        ("dns_search", TEXT_OR_STRINGS),
        ("domainname", Text),
        ("entrypoint", TEXT_OR_LIST),
        ("env_file", TEXT_OR_STRINGS),
        ("environment", PAIRS),
        ("expose", Set(&TextOrNumber)),
        ("external_links", STRINGS),
        ("extra_hosts", PAIRS),
        ("healthcheck", HEALTHCHECK),
        ("hostname", Text),
        ("image", Text),
        ("init", Bool),
        ("ipc", Text),
        ("isolation", Text),
        ("labels", PAIRS),
        ("links", STRINGS),
        ("logging", Fields(&[("driver", Text), ("options", Named(&TextOrNumberOrNull, Any))], Refused)),
        ("mac_address", Text),
        ("network_mode", Text),
        ("networks", Either(&[STRINGS, Named(&Nullable(&SERVICE_NETWORK), Plain)])),
        ("oom_score_adj", Integer),
        ("pid", TextOrNull),
        ("ports", Set(&PORT)),
        ("privileged", Bool),
        ("read_only", Bool),
        ("restart", Text),
        ("secrets", List(&FILE_REFERENCE)),
        ("security_opt", STRINGS),
        ("shm_size", TextOrNumber),
        ("stdin_open", Bool),
        ("stop_grace_period", Duration),
        ("stop_signal", Text),
        ("sysctls", PAIRS),
        ("tmpfs", TEXT_OR_STRINGS),
        ("tty", Bool),
        ("ulimits", Named(&ULIMIT, Any)),
        ("user", Text),
        ("userns_mode", Text),
        ("volumes", List(&MOUNT)),
        ("working_dir", Text),
        // Forbidden, which is said elsewhere.
        ("extends", Anything),
        ("volume_driver", Anything),
        ("volumes_from", Anything),
        ("cpu_quota", Anything),
        ("cpu_shares", Anything),
        ("cpuset", Anything),
        ("mem_limit", Anything),
        ("memswap_limit", Anything),
    ],
    Extensions,
);

const FILE_REFERENCE: Shape = Either(&[
    Text,
    Fields(&[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Integer)], Allowed),
]);

const SERVICE_NETWORK: Shape =
    Fields(&[("aliases", STRINGS), ("driver_opts", OPTIONS), ("ipv4_address", Text), ("ipv6_address", Text)], Refused);

const PORT: Shape = Either(&[
    TextOrNumber,
    Fields(&[("mode", Text), ("target", Integer), ("published", Integer), ("protocol", Text)], Refused),
]);

const ULIMIT: Shape = Either(&[Integer, Fields(&[("soft", Integer), ("hard", Integer)], Refused)]);

const MOUNT: Shape = Either(&[
    Text,
    Fields(
        &[
            ("type", Text),
            ("source", Text),
            ("target", Text),
            ("read_only", Bool),
            ("consistency", Text),
            ("bind", Fields(&[("propagation", Text)], Allowed)),
            ("volume", Fields(&[("nocopy", Bool), ("subpath", Text)], Allowed)),
            ("tmpfs", Fields(&[("size", AtLeast(0))], Allowed)),
        ],
        Refused,
    ),
]);

const HEALTHCHECK: Shape = Fields(
    &[
        ("disable", Bool),
        ("interval", Duration),
        ("retries", Number),
        ("start_interval", Duration),
        ("start_period", Duration),
        ("test", TEXT_OR_LIST),
        ("timeout", Duration),
    ],
    Refused,
);

const UPDATE: Shape = Fields(
    &[
        ("delay", Duration),
        ("failure_action", Text),
        ("max_failure_ratio", Number),
        ("monitor", Duration),
        ("order", OneOf(&["start-first", "stop-first"])),
        ("parallelism", AtLeast(0)),
    ],
    Refused,
);

const DEPLOY: Shape = Fields(
    &[
        ("endpoint_mode", Text),
        ("labels", PAIRS),
        ("mode", Text),
        ("placement", PLACEMENT),
        ("replicas", AtLeast(0)),
        ("resources", Fields(&[("limits", LIMITS), ("reservations", RESERVATIONS)], Refused)),
        (
            "restart_policy",
            Fields(
                &[("condition", Text), ("delay", Duration), ("max_attempts", AtLeast(0)), ("window", Duration)],
                Refused,
            ),
        ),
        ("rollback_config", UPDATE),
        ("update_config", UPDATE),
    ],
    Refused,
);

const PLACEMENT: Shape = Fields(
    &[
        ("constraints", List(&Text)),
        ("max_replicas_per_node", AtLeast(0)),
        ("preferences", List(&Fields(&[("spread", Text)], Refused))),
    ],
    Refused,
);

const LIMITS: Shape = Fields(&[("cpus", Text), ("memory", Text), ("pids", Integer)], Refused);

const RESERVATIONS: Shape =
    Fields(&[("cpus", Text), ("memory", Text), ("generic_resources", List(&GENERIC_RESOURCE))], Refused);

const GENERIC_RESOURCE: Shape =
    Fields(&[("discrete_resource_spec", Fields(&[("kind", Text), ("value", Integer)], Refused))], Refused);

const EXTERNAL: Shape = Either(&[Bool, Fields(&[("name", Text)], Refused)]);

const NETWORK: Shape = Nullable(&Fields(
    &[
        ("attachable", Bool),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("internal", Bool),
        ("ipam", Fields(&[("driver", Text), ("config", List(&Fields(&[("subnet", Text)], Refused)))], Refused)),
        ("labels", PAIRS),
        ("name", Text),
    ],
    Extensions,
));

const VOLUME: Shape = Nullable(&Fields(
    &[("driver", Text), ("driver_opts", OPTIONS), ("external", EXTERNAL), ("labels", PAIRS), ("name", Text)],
    Extensions,
));

const SECRET: Shape = Fields(
    &[
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("file", Text),
        ("labels", PAIRS),
        ("name", Text),
        ("template_driver", Text),
    ],
    Extensions,
);

const CONFIG: Shape = Fields(
    &[("external", EXTERNAL), ("file", Text), ("labels", PAIRS), ("name", Text), ("template_driver", Text)],
    Extensions,
);

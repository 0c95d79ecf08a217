//! The Docker CLI's compose schemas as shapes: one table for 3.0 to 3.13, in which a key says since when it is there.

use super::schema::Names::{LowercaseOr, NotEmpty, NotEmptyOr, Plain, PlainOr};
use super::schema::Rest::{Allowed, Extensions, Refused};
use super::schema::Shape::{
    self, Amount, Anything, Bool, Count, Duration, Either, Fields, Integer, List, Mode, Named, Nullable, Number, OneOf,
    PlainInteger, Port, Ratio, Set, SetBelow, Since, Size, Text, TextOrDate, TextOrNull, TextOrNumber,
    TextOrNumberOrNull, With,
};

pub const FILE: &[(&str, Shape)] = &[
    ("version", Text),
    ("services", Named(&SERVICE, Plain)),
    ("networks", Named(&NETWORK, PlainOr(&UNCHECKED_NETWORK))),
    ("volumes", Named(&VOLUME, Plain)),
    ("secrets", Since(1, &Named(&SECRET, Plain))),
    ("configs", Since(3, &Named(&CONFIG, Plain))),
];

const STRINGS: Shape = Set(&Text);
const TEXT_OR_STRINGS: Shape = Either(&[Text, STRINGS]);
const TEXT_OR_LIST: Shape = Either(&[Text, List(&Text)]);
const PAIRS: Shape = Either(&[Named(&TextOrNumberOrNull, NotEmpty), STRINGS]);
/// No numbers: the Docker CLI would send `%!s(int=1)` as the address.
const HOSTS: Shape = Either(&[Named(&Nullable(&TextOrDate), NotEmpty), Set(&TextOrDate)]);
/// Sent nowhere.
const BUILD_HOSTS: Shape = Either(&[Named(&TextOrNumberOrNull, NotEmpty), Set(&TextOrDate)]);
const OPTIONS: Shape = Named(&TextOrNumber, NotEmptyOr(&SCALAR));
const SCALAR: Shape = Either(&[TextOrNumberOrNull, Bool]);

const SERVICE: Shape = Fields(
    &[
        ("build", Either(&[Text, BUILD])),
        ("cap_add", STRINGS),
        ("cap_drop", STRINGS),
        ("cgroup_parent", Text),
        ("cgroupns_mode", Since(9, &Text)),
        ("command", TEXT_OR_LIST),
        ("configs", Since(3, &List(&FILE_REFERENCE))),
        ("container_name", Text),
        ("credential_spec", Since(3, &CREDENTIAL_SPEC)),
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
        ("extra_hosts", HOSTS),
        ("healthcheck", HEALTHCHECK),
        ("hostname", Text),
        ("image", Text),
        ("init", Since(7, &Bool)),
        ("ipc", Text),
        ("isolation", Since(5, &Text)),
        ("labels", PAIRS),
        ("links", STRINGS),
        ("logging", LOGGING),
        ("mac_address", Text),
        ("network_mode", Text),
        ("networks", Either(&[STRINGS, Named(&Nullable(&SERVICE_NETWORK), Plain)])),
        ("oom_score_adj", Since(13, &Integer)),
        ("pid", TextOrNull),
        ("ports", Set(&PORT)),
        ("privileged", Bool),
        ("read_only", Bool),
        ("restart", Text),
        ("secrets", Since(1, &List(&FILE_REFERENCE))),
        ("security_opt", STRINGS),
        ("shm_size", Text),
        ("stdin_open", Bool),
        ("stop_grace_period", Duration),
        ("stop_signal", Text),
        ("sysctls", PAIRS),
        ("tmpfs", TEXT_OR_STRINGS),
        ("tty", Bool),
        ("ulimits", Named(&ULIMIT, LowercaseOr(&UNCHECKED_ULIMIT))),
        ("user", Text),
        ("userns_mode", Text),
        ("volumes", SetBelow(2, &MOUNT)),
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
    Extensions(7),
);

const BUILD: Shape = Fields(
    &[
        ("args", PAIRS),
        ("cache_from", Since(2, &STRINGS)),
        ("context", Text),
        ("dockerfile", Text),
        ("extra_hosts", Since(9, &BUILD_HOSTS)),
        ("labels", Since(3, &PAIRS)),
        ("network", Since(4, &Text)),
        ("shm_size", Since(5, &Either(&[Integer, TextOrDate]))),
        ("target", Since(4, &Text)),
    ],
    Allowed(11),
);

const CREDENTIAL_SPEC: Shape = Fields(&[("config", Since(8, &Text)), ("file", Text), ("registry", Text)], Refused);

const LOGGING: Shape =
    Fields(&[("driver", Text), ("options", Named(&TextOrNumberOrNull, NotEmptyOr(&SCALAR)))], Refused);

const FILE_REFERENCE: Shape = Either(&[
    Text,
    Fields(&[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Mode)], Allowed(0)),
]);

const SERVICE_NETWORK: Shape = Fields(
    &[("aliases", STRINGS), ("driver_opts", Since(13, &OPTIONS)), ("ipv4_address", Text), ("ipv6_address", Text)],
    Refused,
);

const PORT: Shape = Either(&[
    Port,
    Since(2, &Fields(&[("mode", Text), ("target", Count), ("published", Count), ("protocol", Text)], Refused)),
]);

const ULIMIT: Shape = Either(&[
    PlainInteger,
    With(&["soft", "hard"], &Fields(&[("soft", PlainInteger), ("hard", PlainInteger)], Refused)),
]);

/// Of a name that the schema does not look at.
const UNCHECKED_ULIMIT: Shape = Either(&[
    PlainInteger,
    With(&["soft", "hard"], &Fields(&[("soft", PlainInteger), ("hard", PlainInteger)], Allowed(0))),
]);

const MOUNT: Shape = Either(&[Text, Since(2, &With(&["type"], &LONG_MOUNT))]);

const LONG_MOUNT: Shape = Fields(
    &[
        ("type", Text),
        ("source", Text),
        ("target", Text),
        ("read_only", Bool),
        ("consistency", Text),
        ("bind", Fields(&[("propagation", Text)], Allowed(0))),
        ("volume", Fields(&[("nocopy", Bool), ("subpath", TextOrNull)], Allowed(0))),
        ("tmpfs", Since(6, &Fields(&[("size", Count)], Allowed(0)))),
    ],
    Refused,
);

const HEALTHCHECK: Shape = Fields(
    &[
        ("disable", Bool),
        ("interval", Duration),
        ("retries", Amount),
        ("start_interval", Since(12, &Duration)),
        ("start_period", Since(4, &Duration)),
        ("test", TEXT_OR_LIST),
        ("timeout", Duration),
    ],
    Refused,
);

const UPDATE: Shape = Fields(
    &[
        ("delay", Duration),
        ("failure_action", Text),
        ("max_failure_ratio", Ratio),
        ("monitor", Duration),
        ("order", Since(4, &OneOf(&["start-first", "stop-first"]))),
        ("parallelism", Count),
    ],
    Refused,
);

const DEPLOY: Shape = Fields(
    &[
        ("endpoint_mode", Since(2, &Text)),
        ("labels", PAIRS),
        ("mode", Text),
        ("placement", PLACEMENT),
        ("replicas", Count),
        ("resources", Fields(&[("limits", LIMITS), ("reservations", RESERVATIONS)], Refused)),
        (
            "restart_policy",
            Fields(&[("condition", Text), ("delay", Duration), ("max_attempts", Count), ("window", Duration)], Refused),
        ),
        ("rollback_config", Since(7, &UPDATE)),
        ("update_config", UPDATE),
    ],
    Refused,
);

const PLACEMENT: Shape = Fields(
    &[
        ("constraints", List(&Text)),
        ("max_replicas_per_node", Since(8, &Count)),
        ("preferences", Since(3, &List(&Fields(&[("spread", Text)], Refused)))),
    ],
    Refused,
);

const LIMITS: Shape = Fields(&[("cpus", Text), ("memory", Size), ("pids", Since(9, &Integer))], Refused);

const RESERVATIONS: Shape =
    Fields(&[("cpus", Text), ("memory", Size), ("generic_resources", Since(5, &List(&GENERIC_RESOURCE)))], Refused);

const GENERIC_RESOURCE: Shape =
    Fields(&[("discrete_resource_spec", Fields(&[("kind", Text), ("value", Number)], Refused))], Refused);

const EXTERNAL: Shape = Either(&[Bool, Fields(&[("name", Text)], Refused)]);

/// Of a secret or config.
const OPEN_EXTERNAL: Shape = Either(&[Bool, Fields(&[("name", Text)], Allowed(0))]);

const NETWORK: Shape = Nullable(&Fields(NETWORK_KEYS, Extensions(7)));

/// Of a name that the schema does not look at.
const UNCHECKED_NETWORK: Shape = Nullable(&Fields(NETWORK_KEYS, Allowed(0)));

const NETWORK_KEYS: &[(&str, Shape)] = &[
    ("attachable", Since(2, &Bool)),
    ("driver", Text),
    ("driver_opts", OPTIONS),
    ("external", EXTERNAL),
    ("internal", Bool),
    ("ipam", Fields(&[("driver", Text), ("config", List(&Fields(&[("subnet", Text)], Refused)))], Refused)),
    ("labels", PAIRS),
    ("name", Since(5, &Text)),
];

const VOLUME: Shape = Nullable(&Fields(
    &[
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("external", EXTERNAL),
        ("labels", PAIRS),
        ("name", Since(4, &Text)),
        // Has a schema since 3.10; before, it was an extension that the reader took all the same.
        ("x-cluster-spec", Since(7, &CLUSTER)),
    ],
    Extensions(7),
));

const CLUSTER: Shape = Fields(
    &[
        ("group", Text),
        ("access_mode", ACCESS_MODE),
        ("accessibility_requirements", Fields(&[("requisite", TOPOLOGIES), ("preferred", TOPOLOGIES)], Allowed(0))),
        ("capacity_range", Fields(&[("required_bytes", Size), ("limit_bytes", Size)], Allowed(0))),
        ("availability", Text),
    ],
    Allowed(0),
);

const ACCESS_MODE: Shape = Fields(
    &[
        ("scope", Text),
        ("sharing", Text),
        ("block_volume", Fields(&[], Allowed(0))),
        ("mount_volume", Fields(&[("fs_type", Text), ("mount_flags", List(&Text))], Allowed(0))),
    ],
    Allowed(0),
);

const TOPOLOGIES: Shape = List(&Fields(&[("segments", PAIRS)], Allowed(0)));

const SECRET: Shape = Fields(
    &[
        ("driver", Since(8, &Text)),
        ("driver_opts", Since(8, &OPTIONS)),
        ("external", OPEN_EXTERNAL),
        ("file", Text),
        ("labels", PAIRS),
        ("name", Since(5, &Text)),
        ("template_driver", Since(8, &Text)),
    ],
    Extensions(7),
);

const CONFIG: Shape = Fields(
    &[
        ("external", OPEN_EXTERNAL),
        ("file", Text),
        ("labels", PAIRS),
        ("name", Since(5, &Text)),
        ("template_driver", Since(8, &Text)),
    ],
    Extensions(7),
);

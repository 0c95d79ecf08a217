# THE list of the kinds of apps. In the order in which they come up: each needs those before it. A new kind is an entry here,
# and its options.
#
#   verb    the program's command for it, and the units' name
#   key     its table in the configuration
#   option  the same below services.evenkeel
#   what    in the units' descriptions
#   name    of the one app that it is; where it has none, the table holds tables of apps by their names
#   before  what stands before an app's name in its domain, where none is given
#   sweeps  newer versions are no work of the night: sweeping.nix has the unit that takes them
#   units   its options that are none of the program's keys: other units are made of them
[
  {
    verb = "proxy";
    key = "proxy";
    option = "proxy";
    what = "the reverse proxy";
    name = "traefik";
  }
  {
    verb = "drone";
    key = "drone";
    option = "drone";
    what = "the build server";
    name = "drone";
    units = [ "runner" ];
  }
  {
    verb = "warm-keycloak";
    key = "warm_keycloak";
    option = "warmKeycloak";
    what = "the warm Keycloak";
    name = "warm-keycloak";
  }
  {
    verb = "app";
    key = "app";
    option = "apps";
    what = "the apps";
  }
  # The last one: what a killed run of it left open takes time, and nobody waits for an app that is idle.
  {
    verb = "canonical";
    key = "canonical";
    option = "canonical";
    what = "the warm data of idle apps";
    before = "warm-";
    sweeps = true;
  }
]

# `metrics.prom` for Prometheus' node exporter, which has a user of its own.
#
# That user may enter and list the state directory by an ACL. Everything else there is 0700 or 0600, so it reads the one
# file that is 0644. The mode of the directory has to be 0750 for that (unit.nix): it bounds what the ACL grants.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.evenkeel;
  unit = import ./unit.nix { inherit config lib pkgs; };
in
{
  config = lib.mkIf (cfg.enable && cfg.metrics.nodeExporter.enable) {
    services.prometheus.exporters.node = {
      enable = true;
      enabledCollectors = [ "textfile" ];
      extraFlags = [ "--collector.textfile.directory=${cfg.stateDir}" ];
    };

    systemd.tmpfiles.settings."10-evenkeel".${cfg.stateDir} = {
      d = {
        mode = unit.stateMode;
        user = "root";
        group = "root";
      };
      "a+".argument = "u:${config.services.prometheus.exporters.node.user}:r-x";
    };
  };
}

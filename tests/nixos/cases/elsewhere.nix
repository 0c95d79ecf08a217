# State directory and Docker's data lie on disks of their own, the node exporter reads the metrics, and the world is
# behind a proxy. This NixOS has a log driver by default that fills the disk.
{ lib, ... }:
{
  virtualisation.docker.logDriver = lib.mkOverride 1400 "json-file";
  networking.proxy.default = "http://192.0.2.3:3128";
  virtualisation.docker.autoPrune.flags = [
    "--all=false"
    "--filter=until=24h"
  ];
  virtualisation.docker.daemon.settings.data-root = "/docker/data";
  services.evenkeel = {
    enable = true;
    baseDomain = "ci.example.org";
    stateDir = "/data/evenkeel";
    proxy.recipe.url = "https://git.coopcloud.tech/coop-cloud/traefik.git";
    apps.notes.recipe.url = "https://git.example.org/recipes/notes.git";
    metrics.nodeExporter.enable = true;
  };
}

# State directory and Docker's data lie on disks of their own, the node exporter reads the metrics, and the world is
# behind a proxy. This NixOS has a log driver by default that fills the disk. The build server is a Woodpecker with its agent.
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
    timers.nightly = {
      dates = "*-*-* 02:30 Europe/Berlin";
      randomizedDelay = "0";
    };
    timers.resume.interval = "1min 30s";
    stateDir = "/data/evenkeel";
    proxy.recipe.url = "https://git.coopcloud.tech/coop-cloud/traefik.git";
    drone = {
      recipe.url = "https://git.example.org/recipes/woodpecker.git";
      engine = "woodpecker";
      secrets = {
        agent_secret = "/run/secrets/woodpecker_agent";
        client_secret = "/run/secrets/woodpecker_client";
      };
      gitea = {
        server = "https://git.example.org";
        clientId = "5b0b7e6c-1b0c-4f6b-9c80-0f4d9b3f0e11";
      };
      runner.enable = true;
    };
    apps.notes.recipe.url = "https://git.example.org/recipes/notes.git";
    canonical.custom-html.recipe.url = "https://git.coopcloud.tech/coop-cloud/custom-html.git";
    metrics.nodeExporter.enable = true;
  };
}

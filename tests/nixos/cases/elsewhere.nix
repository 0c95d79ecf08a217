# State directory and Docker's data lie on disks of their own, and the node exporter reads the metrics.
{
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

# `nix run .#demo`: the program's own demo, with the Docker Engine that it starts.
{
  writeShellApplication,
  containerd,
  docker,
  evenkeel,
  git,
  gnutar,
  iproute2,
  iptables,
  runc,
}:
writeShellApplication {
  name = "evenkeel-demo";
  runtimeInputs = [
    containerd
    docker
    evenkeel
    git
    gnutar
    iproute2
    iptables
    runc
  ];
  text = ''
    exec evenkeel demo "$@"
  '';
}

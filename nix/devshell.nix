# What building and `tests/run` need; the tests that run containers also want root.
{
  mkShell,
  cargo,
  cargo-deny,
  clippy,
  curl,
  docker,
  git,
  gnutar,
  iproute2,
  iptables,
  jq,
  nixfmt,
  openssl,
  python3,
  rustc,
  rustfmt,
}:
mkShell {
  packages = [
    cargo
    cargo-deny
    clippy
    curl
    docker
    git
    gnutar
    iproute2
    iptables
    jq
    nixfmt
    openssl
    python3
    rustc
    rustfmt
  ];
}

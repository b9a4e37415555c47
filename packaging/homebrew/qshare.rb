# not tried
#
# Copy this file into the folder Formula of a tap, set url and sha256 (dist/SHA256SUMS), then run
# brew install TAP/qshare, and brew services start qshare for a relay.

class Qshare < Formula
  desc "Send files to anyone with a short code, end-to-end encrypted, over QUIC"
  # homepage and url: of the place where the release is published
  url "file:///tmp/qshare-0.1.0-source.tar.gz"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"qshare", "completions", shells: [:bash, :zsh, :fish])
    (man1/"qshare.1").write Utils.safe_popen_read(bin/"qshare", "man")
  end

  service do
    run [opt_bin/"qshare", "relay"]
    keep_alive true
    environment_variables XDG_STATE_HOME: var/"lib"
    error_log_path var/"log/qshare.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/qshare --version")
    assert_match "relay", shell_output("#{bin}/qshare completions bash")
  end
end

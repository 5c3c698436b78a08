class Featcli < Formula
  include Language::Python::Virtualenv

  desc "Extract features from images the way a convolutional network does"
  homepage "https://github.com/OWNER/featcli"
  url "https://github.com/OWNER/featcli/releases/download/v0.2.0/featcli-0.2.0.tar.gz"
  sha256 "SHA256-OF-THE-SDIST"
  license all_of: ["MIT", "Apache-2.0", "CC-BY-SA-3.0"]

  depends_on "numpy"
  depends_on "pillow"
  depends_on "python@3.14"
  depends_on "scipy"

  pypi_packages exclude_packages: %w[numpy pillow scipy]

  # Here `python tools/publishing.py --recipes` puts a resource for each package that pip would
  # install and Homebrew has no formula of.

  def install
    ENV["FEATCLI_BUILD"] = "compiled"
    virtualenv_install_with_resources
    generate_completions_from_executable(bin/"featcli", "completion")
  end

  test do
    assert_match "compiled kernel", shell_output("#{bin}/featcli info --versions")
    cp test_fixtures("test.png"), testpath
    system bin/"featcli", "convolve", "test.png", "--kernel", "vertical"
    assert_path_exists testpath/"test.vertical.npy"
  end
end

# `brew update-python-resources featcli` writes the resources for click, rich and what rich needs.
class Featcli < Formula
  include Language::Python::Virtualenv

  desc "Extract features from images the way a convolutional network does"
  homepage "https://github.com/OWNER/featcli"
  url "https://github.com/OWNER/featcli/releases/download/v0.2.0/featcli-0.2.0.tar.gz"
  sha256 "SHA256-OF-THE-SDIST"
  license all_of: ["MIT", "Apache-2.0", "CC-BY-SA-3.0"]

  depends_on "numpy"
  depends_on "pillow"
  depends_on "python@3.13"
  depends_on "scipy"

  def install
    virtualenv_install_with_resources
  end

  test do
    system bin/"featcli", "--version"
    assert_match "engine", shell_output("#{bin}/featcli info --versions")
    assert_match "vertical", shell_output("#{bin}/featcli kernels")
  end
end

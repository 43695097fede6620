defmodule Interop.MixProject do
  use Mix.Project

  def project do
    [app: :interop, version: "0.0.0", elixir: "~> 1.14"]
  end

  # mochiweb, for its JSON, is Debian's: it needs no entry among the dependencies.
  def application do
    [extra_applications: [:inets, :mochiweb]]
  end
end

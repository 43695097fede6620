defmodule Interop.Connect do
  @moduledoc """
  Calls over the Connect protocol, with JSON: https://connectrpc.com/docs/protocol/

  Methods are named as in `"TopicService/GetTopic"`. Messages are maps, with strings as keys and `:null` for null.
  """

  defmodule Error do
    @moduledoc "The end of a call that failed. The code is one of the protocol, such as `\"not_found\"`."
    defexception [:code, :message, details: []]

    @impl true
    def message(error), do: "#{error.code}: #{error.message}"

    @doc "Returns the error that is an object in JSON."
    def from_json(object) do
      %__MODULE__{
        code: object["code"] || "unknown",
        message: object["message"],
        details: object["details"] || []
      }
    end

    @doc "Returns the detail of a type, such as `\"google.rpc.ErrorInfo\"`, or an empty one."
    def detail(%__MODULE__{details: details}, type) do
      Enum.find_value(details, %{}, &(&1["type"] == type && &1["debug"]))
    end
  end

  # How many milliseconds a call may take.
  @patience 10_000
  @end_of_stream 2

  @doc "Makes a unary call and returns the response, or raises an `Error`."
  def call!(url, method, request) do
    case post(url, method, "application/json", encode(request), @patience, []) do
      {:ok, {{_version, 200, _phrase}, _headers, body}} -> decode(body)
      {:ok, {_status, _headers, body}} -> raise Error.from_json(decode(body))
      {:error, reason} -> raise Error, code: "unavailable", message: inspect(reason)
    end
  end

  @doc """
  Makes a call with a stream of responses.

  Returns the call, for `cancel/1`, and the responses: a stream that raises an `Error` when the call ends with
  one, and ends the call when nobody wants more of it.

  httpc hands over what came with the headers only when more has come, so requests ask for heartbeats.
  """
  def stream!(url, method, request, timeout \\ @patience) do
    message = request |> Map.put("heartbeatInterval", "1s") |> encode()
    body = <<0, byte_size(message)::32, message::binary>>
    options = [sync: false, stream: :self]
    {:ok, call} = post(url, method, "application/connect+json", body, timeout, options)
    {call, Stream.resource(fn -> "" end, &next(call, &1), fn _ -> :httpc.cancel_request(call) end)}
  end

  @doc "Cancels a call with a stream of responses, from the process that made it."
  def cancel(call) do
    :ok = :httpc.cancel_request(call)
    send(self(), {:http, {call, {:error, :cancelled}}})
  end

  defp post(url, method, type, body, timeout, options) do
    headers = [
      # Else httpc lets calls wait for the end of a stream, to send them over its connection.
      {~c"connection", ~c"close"},
      {~c"connect-protocol-version", ~c"1"},
      {~c"connect-timeout-ms", Integer.to_charlist(timeout)}
    ]

    request = {to_charlist("#{url}/tidings.v1.#{method}"), headers, to_charlist(type), body}
    # The server ends what takes too long; this is for when it doesn't answer.
    :httpc.request(:post, request, [timeout: @patience], [body_format: :binary] ++ options)
  end

  # Returns what Stream.resource wants: messages, and the bytes of the next one that are there.
  defp next(call, <<flags, size::32, message::binary-size(size), rest::binary>>) do
    cond do
      flags != @end_of_stream -> {[decode(message)], rest}
      error = decode(message)["error"] -> raise Error.from_json(error)
      true -> {:halt, call}
    end
  end

  defp next(call, buffer) do
    receive do
      {:http, {^call, :stream_start, _headers}} -> {[], buffer}
      {:http, {^call, :stream, bytes}} -> {[], buffer <> bytes}
      {:http, {^call, :stream_end, _headers}} -> raise Error, code: "unknown", message: "the stream broke off"
      {:http, {^call, {:error, :cancelled}}} -> raise Error, code: "canceled", message: "by this client"
      {:http, {^call, {:error, reason}}} -> raise Error, code: "unavailable", message: inspect(reason)
      # What isn't a stream isn't streamed.
      {:http, {^call, {_status, _headers, body}}} -> raise Error.from_json(decode(body))
    end
  end

  defp encode(message), do: message |> :mochijson2.encode() |> IO.iodata_to_binary()
  defp decode(json), do: :mochijson2.decode(json, format: :map)
end

defmodule Interop.Scenario do
  @moduledoc "The client in Elixir. README.md in the directory above says what it does."

  alias Interop.{Connect, Values}

  @source "/interop"
  @description "interop"

  @doc "Does every step, and ends the program."
  def main do
    context = %{url: System.fetch_env!("TIDINGS_URL"), topic: System.fetch_env!("TIDINGS_TOPIC")}

    steps = [
      {"topic", &create_topic/1},
      {"publish", &publish/1},
      {"refused", &publish_invalid/1},
      {"read", &read/1},
      {"tail", &tail/1},
      {"consume", &consume/1},
      {"deadline", &exceed_deadline/1},
      {"cancel", &cancel/1}
    ]

    results = for {name, step} <- steps, do: run(name, step, context)
    IO.puts("golden n/a: there is no library of protobuf")
    IO.puts("golden-json n/a: there is no library of protobuf")
    System.halt(if Enum.all?(results), do: 0, else: 1)
  end

  defp run(name, step, context) do
    step.(context)
    IO.puts("#{name} ok")
    true
  rescue
    error ->
      IO.puts("#{name} fail: #{error |> Exception.message() |> String.replace("\n", " ")}")
      IO.puts(:stderr, Exception.format(:error, error, __STACKTRACE__))
      false
  end

  defp create_topic(%{url: url, topic: topic}) do
    request = %{"topic" => %{"name" => topic, "settings" => %{"description" => @description}}}
    Connect.call!(url, "TopicService/CreateTopic", request)
    response = Connect.call!(url, "TopicService/GetTopic", %{"name" => topic})
    expect("description", @description, response["topic"]["settings"]["description"])

    error = expect_error("already_exists", fn -> Connect.call!(url, "TopicService/CreateTopic", request) end)

    expect("reason", "TOPIC_ALREADY_EXISTS", Connect.Error.detail(error, "google.rpc.ErrorInfo")["reason"])
  end

  defp publish(%{url: url, topic: topic}) do
    request = %{"topic" => topic, "events" => Enum.map(Values.all(), &event(&1["name"], &1))}
    %{"receipts" => first} = Connect.call!(url, "PublisherService/Publish", request)
    %{"receipts" => again} = Connect.call!(url, "PublisherService/Publish", request)
    sequences = for receipt <- first, do: String.to_integer(receipt["sequence"])
    expect("number of receipts", length(Values.all()), length(sequences))
    expect("sequences", sequences |> Enum.sort() |> Enum.uniq(), sequences)
    expect("duplicates", [nil], first |> Enum.map(& &1["duplicate"]) |> Enum.uniq())
    expect("receipts when repeated", Enum.map(first, &Map.put(&1, "duplicate", true)), again)
  end

  defp publish_invalid(%{url: url, topic: topic}) do
    value = %{Values.full() | "email" => "not-an-address"}
    request = %{"topic" => topic, "events" => [event("refused", value)]}

    error =
      expect_error("invalid_argument", fn -> Connect.call!(url, "PublisherService/Publish", request) end)

    expect("reason", "EVENT_INVALID", Connect.Error.detail(error, "google.rpc.ErrorInfo")["reason"])
    violations = Connect.Error.detail(error, "google.rpc.BadRequest")["fieldViolations"]
    expect("fields", ["events[0].data.email"], Enum.map(violations, & &1["field"]))
  end

  defp read(%{url: url, topic: topic}) do
    {_call, frames} =
      Connect.stream!(url, "ReaderService/Read", %{
        "topic" => topic,
        "start" => %{"boundary" => "START_BOUNDARY_EARLIEST"},
        "stop" => %{"caughtUp" => true}
      })

    events = frames |> Enum.flat_map(&events/1) |> Enum.map(&Map.take(&1, ["id", "source", "data"]))
    expect("events", Enum.map(Values.all(), &event(&1["name"], &1)), events)
  end

  defp tail(%{url: url, topic: topic}) do
    {_call, frames} = follow(url, topic)

    [tailed] =
      frames
      |> Stream.each(fn frame ->
        if frame["caughtUp"], do: publish_one(url, topic, "tailed", Values.data(Values.full()))
      end)
      |> Stream.flat_map(&events/1)
      |> Enum.take(1)

    expect("event", event("tailed", Values.full()), Map.take(tailed, ["id", "source", "data"]))
  end

  # Does all that a publisher in Elixir has to do. Data is a map with "@type".
  defp publish_one(url, topic, id, data) do
    # docs:begin
    request = %{topic: topic, events: [%{id: id, source: "/interop", data: data}]}
    url = ~c"#{url}/tidings.v1.PublisherService/Publish"

    {:ok, {{_version, 200, _phrase}, _headers, body}} =
      :httpc.request(
        :post,
        {url, [], ~c"application/json", :mochijson2.encode(request)},
        [timeout: 10_000],
        []
      )

    %{"receipts" => [%{"sequence" => _}]} = :mochijson2.decode(body, format: :map)
    # docs:end
  end

  defp consume(%{url: url, topic: topic}) do
    Connect.call!(url, "SubscriptionService/CreateSubscription", %{
      "subscription" => %{
        "name" => topic,
        "topic" => topic,
        "retryPolicy" => %{"minBackoff" => "0.1s", "maxBackoff" => "1s"}
      },
      "start" => %{"boundary" => "START_BOUNDARY_EARLIEST"}
    })

    ids = ["tailed" | Enum.map(Values.all(), & &1["name"])]
    {_call, frames} = Connect.stream!(url, "ConsumerService/Receive", %{"subscription" => topic})

    # One settlement more than events: full is settled twice.
    settled =
      frames
      |> Stream.flat_map(&(&1["deliveries"]["deliveries"] || []))
      |> Stream.map(&settle(url, topic, &1))
      |> Enum.take(length(ids) + 1)

    expect("attempts of full", [1, 2], for({"full", attempt, _action} <- settled, do: attempt))
    expect("acknowledged ids", Enum.sort(ids), Enum.sort(for({id, _, "ack"} <- settled, do: id)))
  end

  # Answers a delivery, and returns its id, its attempt and the answer.
  defp settle(
         url,
         subscription,
         %{"recorded" => %{"event" => %{"id" => id}}, "attempt" => attempt} = delivery
       ) do
    {action, details} =
      if {id, attempt} == {"full", 1}, do: {"nack", %{"kind" => "NACK_KIND_RETRY"}}, else: {"ack", %{}}

    settlement = %{"deliveryToken" => delivery["deliveryToken"], action => details}
    request = %{"subscription" => subscription, "settlements" => [settlement]}
    %{"results" => [result]} = Connect.call!(url, "ConsumerService/Settle", request)
    expect("status", "SETTLEMENT_STATUS_APPLIED", result["status"])
    {id, attempt, action}
  end

  defp exceed_deadline(%{url: url, topic: topic}) do
    {_call, frames} = follow(url, topic, 300)
    expect_error("deadline_exceeded", fn -> Stream.run(frames) end)
  end

  defp cancel(%{url: url, topic: topic}) do
    {call, frames} = follow(url, topic)

    expect_error("canceled", fn ->
      Enum.each(frames, fn frame -> if frame["caughtUp"], do: Connect.cancel(call) end)
    end)
  end

  # Reads what is stored from now on, without a bound but the timeout in milliseconds.
  defp follow(url, topic, timeout \\ 10_000) do
    request = %{"topic" => topic, "start" => %{"boundary" => "START_BOUNDARY_NEW"}}
    Connect.stream!(url, "ReaderService/Read", request, timeout)
  end

  defp events(frame), do: for(recorded <- frame["events"]["events"] || [], do: recorded["event"])

  defp event(id, value), do: %{"id" => id, "source" => @source, "data" => Values.data(value)}

  defp expect(_what, want, want), do: :ok
  defp expect(what, want, got), do: raise("#{what}: #{inspect(got)}, want #{inspect(want)}")

  # Wants a call to end with an error, and returns it.
  defp expect_error(code, call) do
    result = call.()
    raise "expected #{code}, got #{inspect(result)}"
  rescue
    error in Connect.Error ->
      if error.code != code, do: raise("expected #{code}, got #{Exception.message(error)}")
      error
  end
end

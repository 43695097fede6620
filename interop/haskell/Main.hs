{-# LANGUAGE OverloadedStrings #-}

-- | The client in Haskell: Connect with JSON, by http-client and aeson. README.md in the
-- directory above says what it does.
module Main (main) where

import Connect
import Control.Exception (SomeException, handleJust, try)
import Control.Monad (forM, guard, unless, void, when, zipWithM_)
import Data.Aeson (ToJSON, Value (..), encode, object, (.=))
import qualified Data.ByteString.Lazy.Char8 as Lazy
import Data.IORef (modifyIORef', newIORef, readIORef, writeIORef)
import Data.List (sort)
import Data.Text (Text, pack, unpack)
import Network.HTTP.Client
import Network.HTTP.Types (Header)
import System.Environment (getEnv)
import System.Exit (exitFailure)
import System.IO (BufferMode (..), hSetBuffering, hSetEncoding, stdout, utf8)
import System.Timeout (timeout)
import Values

-- | One run of the steps.
data Run = Run {server :: Server, topic :: Text}

main :: IO ()
main = do
  hSetBuffering stdout LineBuffering
  hSetEncoding stdout utf8
  transport <- getEnv "TIDINGS_TRANSPORT"
  when (transport /= "connect-json") $ fail ("TIDINGS_TRANSPORT is " <> transport)
  run <-
    Run
      <$> (Server <$> getEnv "TIDINGS_URL" <*> newManager defaultManagerSettings)
      <*> (pack <$> getEnv "TIDINGS_TOPIC")
  oks <- forM steps $ \(name, step) -> case step of
    Left why -> True <$ putStrLn (name <> " n/a: " <> why)
    Right perform -> do
      ended <- try (timeout 10000000 (perform run)) :: IO (Either SomeException (Maybe ()))
      case ended of
        Right (Just ()) -> True <$ putStrLn (name <> " ok")
        Right Nothing -> False <$ putStrLn (name <> " fail: no end within ten seconds")
        Left err -> False <$ putStrLn (name <> " fail: " <> unwords (lines (show err)))
  unless (and oks) exitFailure

steps :: [(String, Either String (Run -> IO ()))]
steps =
  [ ("topic", Right createTopic),
    ("publish", Right publish),
    ("refused", Right publishInvalid),
    ("read", Right readAll),
    ("tail", Right tailTopic),
    ("consume", Right consume),
    ("deadline", Right exceedDeadline),
    ("cancel", Right cancel),
    ("golden", Left noBinary),
    ("golden-json", Left noBinary)
  ]
  where
    noBinary = "Debian has nothing that generates code of protobuf for Haskell"

-- | The id of the event that is published while the topic is read.
tailed :: Text
tailed = "tailed"

createTopic :: Run -> IO ()
createTopic run = do
  let description = "interop" :: Text
      request = object ["topic" .= object ["name" .= topic run, "settings" .= object ["description" .= description]]]
      create = void (call (server run) "TopicService/CreateTopic" request)
  create
  got <- call (server run) "TopicService/GetTopic" (object ["name" .= topic run])
  unless (at ["topic", "settings", "description"] got == String description) $ fail ("the topic is " <> json got)
  expect "already_exists" "TOPIC_ALREADY_EXISTS" [] create

event :: Text -> Value -> Value
event name value = object ["id" .= name, "source" .= ("/interop" :: Text), "data" .= value]

publishAll :: Run -> [Value] -> IO [Value]
publishAll run events = do
  let request = object ["topic" .= topic run, "events" .= events]
  items . at ["receipts"] <$> call (server run) "PublisherService/Publish" request

publish :: Run -> IO ()
publish run = do
  let events = map (uncurry event) values
      sequences = map (read . unpack . text . at ["sequence"]) :: [Value] -> [Integer]
      duplicates = map ((== Bool True) . at ["duplicate"])
  first <- publishAll run events
  again <- publishAll run events
  let increasing = and (zipWith (<) (0 : sequences first) (sequences first))
  unless
    ( length first == length events
        && increasing
        && sequences first == sequences again
        && not (or (duplicates first))
        && and (duplicates again)
    )
    $ fail ("the receipts " <> json first <> ", and when repeated " <> json again)

publishInvalid :: Run -> IO ()
publishInvalid run =
  expect "invalid_argument" "EVENT_INVALID" ["events[0].data.email"] . void $
    publishAll run [event "refused" (anyOf (full <> ["email" .= ("not-an-address" :: Text)]))]

readAll :: Run -> IO ()
readAll run = do
  received <- newIORef []
  let request =
        object
          [ "topic" .= topic run,
            "start" .= object ["boundary" .= ("START_BOUNDARY_EARLIEST" :: Text)],
            "stop" .= object ["caughtUp" .= True]
          ]
  stream (server run) [] "ReaderService/Read" request $ \frame ->
    True <$ modifyIORef' received (<> items (at ["events", "events"] frame))
  events <- readIORef received
  unless (length events == length values) $ fail (show (length events) <> " events")
  zipWithM_ requireHolds events values

-- | Reads what is stored from now on, without a bound.
readNew :: Run -> [Header] -> (Value -> IO Bool) -> IO ()
readNew run headers =
  stream (server run) headers "ReaderService/Read" $
    object
      [ "topic" .= topic run,
        "start" .= object ["boundary" .= ("START_BOUNDARY_NEW" :: Text)]
      ]

-- | Publishes one event, with nothing but http-client and aeson.
publishOne :: String -> Text -> Text -> Value -> IO ()
publishOne address topicName name value = do
  -- docs:begin
  connections <- newManager defaultManagerSettings
  request <- parseUrlThrow (address <> "/tidings.v1.PublisherService/Publish")
  let published = object ["id" .= name, "source" .= ("/interop" :: Text), "data" .= value]
      message' = object ["topic" .= topicName, "events" .= [published]]
  void $
    httpLbs
      request
        { method = "POST",
          requestHeaders = [("Content-Type", "application/json")],
          requestBody = RequestBodyLBS (encode message')
        }
      connections

-- docs:end

tailTopic :: Run -> IO ()
tailTopic run = do
  received <- newIORef []
  untilEnough . readNew run [] $ \frame -> do
    unless (at ["caughtUp"] frame == Null) $
      publishOne (url (server run)) (topic run) tailed (anyOf full)
    let events = items (at ["events", "events"] frame)
    writeIORef received events
    pure (null events)
  events <- readIORef received
  unless (length events == 1) $ fail (show (length events) <> " events")
  zipWithM_ requireHolds events [(tailed, anyOf full)]

consume :: Run -> IO ()
consume run = do
  let create =
        object
          [ "subscription"
              .= object
                [ "name" .= topic run,
                  "topic" .= topic run,
                  "retryPolicy" .= object ["minBackoff" .= ("0.1s" :: Text), "maxBackoff" .= ("1s" :: Text)]
                ],
            "start" .= object ["boundary" .= ("START_BOUNDARY_EARLIEST" :: Text)]
          ]
      want = tailed : map fst values
  void $ call (server run) "SubscriptionService/CreateSubscription" create
  acknowledged <- newIORef []
  attempts <- newIORef []
  applied <- newIORef (0 :: Int)
  let decide delivery = do
        let name = text (at ["recorded", "event", "id"] delivery)
        when (name == "full") $ modifyIORef' attempts (<> [at ["attempt"] delivery])
        fulls <- length <$> readIORef attempts
        action <-
          if name == "full" && fulls == 1
            then pure ("nack" .= object ["kind" .= ("NACK_KIND_RETRY" :: Text)])
            else ("ack" .= object []) <$ modifyIORef' acknowledged (name :)
        pure (object ["deliveryToken" .= at ["deliveryToken"] delivery, action])
      settle frame = do
        settlements <- mapM decide (items (at ["deliveries", "deliveries"] frame))
        unless (null settlements) $ do
          let request = object ["subscription" .= topic run, "settlements" .= settlements]
          response <- call (server run) "ConsumerService/Settle" request
          let statuses = map (text . at ["status"]) (items (at ["results"] response))
          unless (all (== "SETTLEMENT_STATUS_APPLIED") statuses) $ fail ("settlements are " <> show statuses)
          modifyIORef' applied (+ length statuses)
        -- One settlement more than events: full is settled twice.
        (< length want + 1) <$> readIORef applied
  untilEnough $
    stream (server run) [] "ConsumerService/Receive" (object ["subscription" .= topic run]) settle
  gotAttempts <- readIORef attempts
  unless (gotAttempts == [Number 1, Number 2]) $ fail ("the attempts of full are " <> json gotAttempts)
  got <- readIORef acknowledged
  unless (sort got == sort want) $ fail ("acknowledged " <> show got)

exceedDeadline :: Run -> IO ()
exceedDeadline run =
  expect "deadline_exceeded" "" [] $ readNew run [("Connect-Timeout-Ms", "300")] (const (pure True))

cancel :: Run -> IO ()
cancel run = expect "canceled" "" [] $ readNew run [] (pure . (== Null) . at ["caughtUp"])

-- | Does a call that this side ends.
untilEnough :: IO () -> IO ()
untilEnough = handleJust (guard . (== "canceled") . code) pure

-- | Wants a call to fail with a code, with a reason unless that is empty, and with just
-- these fields that violate rules.
expect :: Text -> Text -> [Text] -> IO () -> IO ()
expect wanted why violated perform = do
  ended <- try perform
  case ended of
    Right () -> fail ("expected " <> unpack wanted <> ", got ok")
    Left failure ->
      unless (code failure == wanted && why `elem` ["", reason failure] && fields failure == violated) $
        fail ("expected " <> unpack wanted <> ", got " <> show failure)

-- | Wants an event to have an id and to hold a value.
requireHolds :: Value -> (Text, Value) -> IO ()
requireHolds recorded (name, value) =
  unless (at ["event", "id"] recorded == String name && at ["event", "data"] recorded == value) $
    fail ("the event " <> json recorded <> ", want " <> unpack name <> " with " <> json value)

json :: ToJSON a => a -> String
json = Lazy.unpack . encode

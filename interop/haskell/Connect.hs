{-# LANGUAGE OverloadedStrings #-}

-- | The Connect protocol over http-client, with messages in JSON.
module Connect
  ( Server (..),
    Failure (..),
    call,
    stream,
    at,
    items,
    text,
  )
where

import Control.Exception (Exception, throwIO)
import Control.Monad (unless, when)
import Data.Aeson (Key, Value (..), eitherDecode, encode)
import qualified Data.Aeson.KeyMap as KeyMap
import Data.Bits (testBit)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder (lazyByteString, toLazyByteString, word32BE, word8)
import qualified Data.ByteString.Lazy as Lazy
import Data.Foldable (foldl', toList)
import Data.Maybe (fromMaybe)
import Data.Text (Text, pack)
import Network.HTTP.Client
import Network.HTTP.Types (Header, statusCode)

data Server = Server {url :: String, manager :: Manager}

-- | How a call ended that didn't end well. The code is that of Connect, @not_found@.
data Failure = Failure
  { code :: Text,
    message :: Text,
    reason :: Text,
    fields :: [Text]
  }
  deriving (Show)

instance Exception Failure

failed :: Text -> Text -> IO a
failed kind why = throwIO (Failure kind why "" [])

-- | What lies under keys in JSON, one within the other; null where there is nothing.
at :: [Key] -> Value -> Value
at keys value = foldl' step value keys
  where
    step (Object object) key = fromMaybe Null (KeyMap.lookup key object)
    step _ _ = Null

items :: Value -> [Value]
items (Array array) = toList array
items _ = []

text :: Value -> Text
text (String string) = string
text _ = ""

-- | Takes an error of Connect apart. The details are those that are meant for people:
-- the others are binary.
failureOf :: Value -> Failure
failureOf err =
  Failure
    { code = text (at ["code"] err),
      message = text (at ["message"] err),
      reason = foldMap (text . at ["reason"]) (details "google.rpc.ErrorInfo"),
      fields =
        [ text (at ["field"] violation)
          | detail <- details "google.rpc.BadRequest",
            violation <- items (at ["fieldViolations"] detail)
        ]
    }
  where
    details kind =
      [ at ["debug"] detail
        | detail <- items (at ["details"] err),
          text (at ["type"] detail) == kind
      ]

post :: Server -> String -> [Header] -> Lazy.ByteString -> IO Request
post server procedure headers body = do
  request <- parseRequest (url server <> "/tidings.v1." <> procedure)
  pure
    request
      { method = "POST",
        requestHeaders = ("Connect-Protocol-Version", "1") : headers,
        requestBody = RequestBodyLBS body
      }

-- | Decodes a message; Connect's code for one that can't be is @internal@.
decoded :: Lazy.ByteString -> IO Value
decoded = either (failed "internal" . pack) pure . eitherDecode

-- | Calls a method with one response, @TopicService/GetTopic@.
call :: Server -> String -> Value -> IO Value
call server procedure message' = do
  request <- post server procedure [("Content-Type", "application/json")] (encode message')
  response <- httpLbs request (manager server)
  value <- decoded (responseBody response)
  when (statusCode (responseStatus response) /= 200) $ throwIO (failureOf value)
  pure value

-- | Calls a method with a stream of responses, and hands them over until it gets
-- 'False'. Fails with the code @canceled@ where that ended it.
stream :: Server -> [Header] -> String -> Value -> (Value -> IO Bool) -> IO ()
stream server headers procedure message' takeMessage = do
  let body = encode message'
      -- Before each message there are flags and a length of four bytes.
      envelope = word8 0 <> word32BE (fromIntegral (Lazy.length body)) <> lazyByteString body
      contentType = ("Content-Type", "application/connect+json")
  request <- post server procedure (contentType : headers) (toLazyByteString envelope)
  withResponse request (manager server) $ \response -> do
    let status = statusCode (responseStatus response)
    when (status /= 200) $ failed "unavailable" ("HTTP " <> pack (show status))
    messages (responseBody response) ByteString.empty
  where
    messages body received = do
      let (header, rest) = ByteString.splitAt 5 received
          size = ByteString.foldl' (\n byte -> n * 256 + fromIntegral byte) 0 (ByteString.drop 1 header)
          (content, others) = ByteString.splitAt size rest
      if ByteString.length header < 5 || ByteString.length content < size
        then do
          chunk <- brRead body
          when (ByteString.null chunk) $ failed "internal" "the stream has no end"
          messages body (received <> chunk)
        else do
          value <- decoded (Lazy.fromStrict content)
          if ByteString.head header `testBit` 1
            then case at ["error"] value of
              Null -> pure ()
              err -> throwIO (failureOf err)
            else do
              more <- takeMessage value
              unless more $ failed "canceled" "ended by this side"
              messages body others

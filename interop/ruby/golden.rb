# frozen_string_literal: true

require 'google/protobuf/wrappers_pb' # Vectors hold them in Any.
require 'tidings/conformance/v1/every_kind_pb'
# Vectors are of every message.
Dir.glob('tidings/{options/v1,v1*}/*_pb.rb', base: "#{__dir__}/build").sort.each { |file| require file }

# Golden writes golden vectors again.
class Golden
  # vectors and out are directories.
  def initialize(vectors, out)
    @vectors = vectors
    @out = out
  end

  # Writes each vector again as it is.
  def copy
    paths = Dir.glob('*.binpb', base: @vectors)
    raise "there are no vectors in #{@vectors}" if paths.empty?

    paths.each { |path| copy_vector(path) }
  end

  private

  # The path is LABEL-NAME.binpb, with the full name of the message.
  def copy_vector(path)
    name = File.basename(path, '.binpb').split('-', 2).last
    type = Google::Protobuf::DescriptorPool.generated_pool.lookup(name).msgclass
    message = type.decode(File.binread(File.join(@vectors, path)))
    File.binwrite(File.join(@out, path), type.encode(message))
  rescue StandardError => e
    raise "#{path}: #{e.message}"
  end
end

Gem::Specification.new do |s|
  s.name = "hello"
  s.version = "1.0.0"
  s.summary = "hello"
  s.authors = ["us"]
  s.files = ["lib/hello.rb"]
end

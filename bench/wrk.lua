-- What wrk sends beyond its command line, and how it tells what it saw: one line that load.py reads.
--   wrk … URL -- METHOD BYTES     the method, and how long the body is

function init(arguments)
   if arguments[1] then
      wrk.method = arguments[1]
      wrk.body = string.rep("x", tonumber(arguments[2]))
      wrk.headers["Content-Type"] = "application/json"
   end
end

function done(summary, latency, requests)
   local failed = summary.errors
   io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration,
      failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end

-- Asks for credentials: wrk … URL -- BODY, and tells what it saw in one line that leases.py reads.

function init(arguments)
   wrk.method = "POST"
   wrk.body = arguments[1]
   wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
   local failed = summary.errors
   io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration,
      failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end

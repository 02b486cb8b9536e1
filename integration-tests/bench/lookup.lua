-- For wrk: the URL's name is the one to say (Host, SNI); the address is always loopback.
function wrk.resolve(_, service)
   wrk.addrs = wrk.lookup("127.0.0.1", service)
   for i = #wrk.addrs, 1, -1 do
      if not wrk.connect(wrk.addrs[i]) then table.remove(wrk.addrs, i) end
   end
end

// Datagrams of a stranger to a server's socket: routing, version negotiation, first packets. The input is a list of parts (see take_part); the first byte of each says how it is sent:
//   0  as it is     1  filled up to 1,200 bytes     else  as the frames of a client's Initial packet, properly sealed
#include "puppet.h"

using namespace kwik::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    LiveServer& server = LiveServer::instance();
    Input input{data, size};
    {
        Puppet puppet(server);
        for (int count = 0; !input.empty() && count < 8; ++count) {
            Input part = take_part(input);
            if (part.empty()) continue;
            const std::uint8_t kind = part[0];
            part = part.subspan(1);
            if (kind == 0) {
                puppet.send(part);
            } else if (kind == 1) {
                std::vector<std::uint8_t> whole(part.begin(), part.end());
                whole.resize(std::max<std::size_t>(whole.size(), 1200));
                puppet.send(whole);
            } else {
                puppet.say(part);
            }
            server.turn();
        }
    }
    server.end();
    return 0;
}

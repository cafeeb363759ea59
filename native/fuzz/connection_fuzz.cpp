// An authenticated peer that sends any frames: after a proper handshake each part of the input (see take_part) is the payload of one 1-RTT packet.
#include "puppet.h"

using namespace kwik::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    LiveServer& server = LiveServer::instance();
    Input input{data, size};
    {
        Puppet puppet(server);
        require(puppet.shake_hands(), "a handshake");
        for (int count = 0; !input.empty() && count < 16; ++count) {
            puppet.say(take_part(input));
            // Some packets come together.
            if (count % 3 != 1) server.turn();
            if (count % 4 == 3) puppet.read();
        }
        server.turn();
    }
    server.end();
    return 0;
}

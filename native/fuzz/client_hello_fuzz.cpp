// read_client_hello: any bytes, also in two steps as they come in two packets.
#include "fuzz.h"
#include "wire.h"

using namespace kwik;
using namespace kwik::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Input input{data, size};
    ClientHello hello;
    const HelloStatus status = read_client_hello(input, hello);
    if (status == HelloStatus::ok) {
        const Input name{reinterpret_cast<const std::uint8_t*>(hello.server_name.data()), hello.server_name.size()};
        require(name.size() <= 255 && std::ranges::find(name, 0) == name.end(), "a name of at most 255 bytes without NUL");
        require(lies_within(name, input) && lies_within(hello.alpn_list, input), "the result points into the input");
        Input list = hello.alpn_list;
        while (!list.empty()) {
            require(list[0] != 0 && list[0] < list.size(), "whole names in the list of protocols");
            list = list.subspan(1 + list[0]);
        }
    }
    if (size > 0) {
        const HelloStatus before = read_client_hello(input.first(size / 2), hello);
        require(before != HelloStatus::malformed || status == HelloStatus::malformed, "more bytes do not mend what is malformed");
        require(before != HelloStatus::ok || status == HelloStatus::ok, "more bytes do not spoil what is whole");
    }
    return 0;
}

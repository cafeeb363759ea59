// select_alpn, valid_alpn_list and read_alpn_list, over two lists of any bytes.
#include <vector>

#include "configuration.h"
#include "fuzz.h"
#include "tls.h"
#include "wire.h"

using namespace kwik;
using namespace kwik::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input{data, size};
    const Input first = take_part(input), second = input;
    const std::vector<std::uint8_t> preferred(first.begin(), first.end()), offered(second.begin(), second.end());
    const Input chosen = select_alpn(preferred, offered);
    require(lies_within(chosen, preferred) || lies_within(chosen, offered), "the choice points into a list");
    require(select_alpn(offered, preferred).empty() == chosen.empty(), "both agree whether there is a choice");
    const bool valid = valid_alpn_list(preferred);
    if (valid) {
        require(std::ranges::equal(select_alpn(preferred, preferred), Input(preferred).subspan(1, preferred[0])), "a list prefers its first name");
        // The names one by one, as an application gives them, are the same list.
        std::vector<abi::Buffer> names;
        for (std::size_t at = 0; at < preferred.size(); at += 1 + preferred[at]) names.push_back({preferred[at], const_cast<std::uint8_t*>(&preferred[at + 1])});
        std::vector<std::uint8_t> joined;
        require(read_alpn_list(names, joined) == abi::success && joined == preferred, "names join to their list");
    }
    return 0;
}

using System.Text.Json;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// What Kwik puts on the wire beside the payload: a whole Internal stream is written through the real writer, and what it
/// hands to the transport is counted. Bar: below 0.1 % with writes of 64 KiB. The packets of QUIC are not counted.
/// </summary>
internal static class WireOverhead
{
    private const double Bar = 0.1;

    // An Internal stream carries one range, 1 MiB as a rule; a public stream may be as long as it likes.
    private static readonly (int Write, long Payload)[] Cases =
    [
        (1024, 1 << 20), (16 * 1024, 1 << 20), (64 * 1024, 1 << 20), (64 * 1024, 1L << 30),
    ];

    public static async Task<int> RunAsync(bool json)
    {
        bool passed = true;
        foreach ((int write, long payload) in Cases)
        {
            long frames = await WriteAsync(write, payload) - payload;
            double percent = 100.0 * frames / payload;
            passed &= write < FrameWriter.PayloadSize || percent < Bar;
            Console.WriteLine(json
                ? JsonSerializer.Serialize(new { write_bytes = write, payload_bytes = payload, frame_bytes = frames, percent = Math.Round(percent, 4) })
                : $"writes of {write,5} bytes: {payload,10} bytes of payload, {frames,6} bytes of frames, {percent:0.0000} %");
        }

        return passed ? 0 : 1;
    }

    /// <summary>Bytes that a stream takes from its header to its close frame.</summary>
    private static async Task<long> WriteAsync(int size, long payload)
    {
        var transport = new EndlessTransportStream(id: 3);
        await using var stream = new SecondaryStream(transport, LeasePool.Shared);
        // In the middle of a long public stream, where offsets are long numbers.
        stream.SetKwikStreamMapping(kwikStreamId: 400, offset: 1L << 40);
        var buffer = new byte[size];
        for (long sent = 0; sent < payload; sent += size)
        {
            await stream.WriteAsync(buffer);
        }

        await stream.CompleteAsync();
        return transport.Written;
    }
}

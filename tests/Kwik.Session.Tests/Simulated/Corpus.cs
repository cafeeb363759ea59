using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Control frames, good and bad, as bytes.</summary>
internal static class Corpus
{
    /// <summary>What is no frame, by name.</summary>
    public static IReadOnlyDictionary<string, byte[]> Malformed { get; } = new Dictionary<string, byte[]>
    {
        ["length 2^31-1"] = Varint(int.MaxValue),
        ["length 2^62"] = Varint(1UL << 62),
        ["length 2^64-1"] = Varint(ulong.MaxValue),
        ["length of eleven bytes"] = [.. Enumerable.Repeat((byte)0xff, 10), 1],
        ["one byte more than a frame may have"] = Varint(ControlCodec.MaxFrameSize + 1),
        ["2 MB of empty submessages"] = EmptySubmessages(2 * 1024 * 1024),
        ["nested 150 deep"] = Frame(Nested(150)),
        ["a length inside that overruns"] = Frame([(10 << 3) | 2, 0xff, 0xff, 0xff, 0xff, 0x07]),
        ["cut inside a length"] = [0x80],
        ["cut inside a frame"] = [10, 1, 2],
        ["a field number of zero"] = Frame([0, 0]),
        ["a wire type that there is not"] = Frame([(10 << 3) | 7]),
    };

    /// <summary>Field 10, Heartbeat, without content, again and again.</summary>
    public static byte[] EmptySubmessages(int size) =>
        Frame([.. Enumerable.Repeat<byte[]>([(10 << 3) | 2, 0], size / 2).SelectMany(field => field)]);

    public static byte[] Frame(byte[] message) => [.. Varint((ulong)message.Length), .. message];

    public static byte[] Field(int number, byte[] value) =>
        [.. Varint(((ulong)number << 3) | 2), .. Varint((ulong)value.Length), .. value];

    /// <summary>An announcement that is correct in the session that <see cref="RawPeer.Answer"/> names.</summary>
    public static ControlFrame AddPath(int pathId, string host, uint port = 4433)
    {
        var token = new PathToken { SessionId = ByteString.CopyFrom(new byte[16]), PathId = (uint)pathId, NotBefore = 0, Expires = 600 };
        var path = new AddPath
        {
            PathId = (uint)pathId,
            Host = host,
            Port = port,
            PathToken = new SignedStatement
            {
                KeyId = ByteString.CopyFrom(new byte[8]),
                Statement = new Statement { PathToken = token }.ToByteString(),
                Signature = ByteString.CopyFrom(new byte[64]),
            }.ToByteString(),
        };
        path.Pins.Add(ByteString.CopyFrom(new byte[32]));
        return new ControlFrame { AddPath = path };
    }

    /// <summary>Every frame that a client sends to a primary, in some order.</summary>
    public static byte[] OfClient(Random random) => Shuffled(random,
    [
        new() { Heartbeat = new Heartbeat { Sequence = 300 } },
        new() { HeartbeatAck = new HeartbeatAck { Sequence = 1 } },
        new() { RangeRequest = new RangeRequest { RequestId = 1, KwikStreamId = 1, Root = Bytes(32), Offset = 0, Length = 1000 } },
        new() { RangeCancel = new RangeCancel { RequestId = 1 } },
        new() { StreamClosed = new StreamClosed { KwikStreamId = 5 } },
        new() { SessionClose = new SessionClose { ErrorCode = 3, Reason = "enough" } },
        new() { RangeLost = new RangeLost { KwikStreamId = 1, Offset = 3, Length = 4, PathId = 1 } },
        new() { OffsetSyncRequest = new OffsetSyncRequest { KwikStreamId = 1, CurrentOffset = 2, EndOffset = 3 } },
    ]);

    /// <summary>Every frame that a primary sends to a client, in some order; the offer is for this stream.</summary>
    public static byte[] OfPrimary(Random random, long streamId) => Shuffled(random,
    [
        new() { Heartbeat = new Heartbeat { Sequence = 300 } },
        new() { HeartbeatAck = new HeartbeatAck { Sequence = 1 } },
        // Without a port: a bit that is flipped in the host would make a name of it, and simulations look nothing up.
        AddPath(1, "10.9.9.9", port: 0),
        new() { RemovePath = new RemovePath { PathId = 1 } },
        new() { Token = new Token { PathId = 2, PathToken = AddPath(2, "10.9.9.9").AddPath.PathToken } },
        new() { ContentOffer = new Data.Wire.ContentOffer { KwikStreamId = (ulong)streamId, Root = Bytes(32), Length = 10_000, LeafSize = 65536 } },
        new() { GrantRenewal = new GrantRenewal { KwikStreamId = 401, Grant = Bytes(100) } },
        new() { RangeRefused = new RangeRefused { RequestId = 1, ErrorCode = 11 } },
        new() { RawData = new RawData { PathId = 1, Id = 1, Data = Bytes(10) } },
        new() { RawDataRefused = new RawDataRefused { PathId = 1, Id = 1, ErrorCode = 3 } },
    ]);

    private static byte[] Shuffled(Random random, ControlFrame[] frames)
    {
        random.Shuffle(frames);
        return [.. frames.SelectMany(ControlCodec.Encode)];
    }

    private static ByteString Bytes(int length) => ByteString.CopyFrom(new byte[length]);

    // An unknown group inside itself: the parser skips it by recursion.
    private static byte[] Nested(int depth) =>
        [.. Enumerable.Repeat((byte)((15 << 3) | 3), depth), .. Enumerable.Repeat((byte)((15 << 3) | 4), depth)];

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        for (; value >= 0x80; value >>= 7)
        {
            bytes.Add((byte)(value | 0x80));
        }

        return [.. bytes, (byte)value];
    }
}

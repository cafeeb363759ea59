namespace Kwik.Streams;

/// <summary>Names an Internal stream on a client: QUIC ids are unique on one connection only.</summary>
/// <param name="PathId">The path that it came on; 0 is the primary.</param>
/// <param name="StreamId">Its QUIC id there.</param>
public readonly record struct SecondaryStreamId(int PathId, long StreamId);

/// <summary>An Internal stream that is mapped into a public stream, at one moment.</summary>
/// <param name="Id">Names the Internal stream.</param>
/// <param name="KwikStreamId">The public stream that its bytes go to.</param>
/// <param name="State">Where it stands.</param>
/// <param name="CreatedAt">When it arrived.</param>
/// <param name="LastActivity">When its last bytes arrived.</param>
/// <param name="BytesTransferred">Payload placed so far, bytes.</param>
/// <param name="CurrentOffset">Offset in the public stream of its next byte.</param>
public sealed record StreamMappingInfo(
    SecondaryStreamId Id,
    long KwikStreamId,
    SecondaryStreamState State,
    DateTimeOffset CreatedAt,
    DateTimeOffset LastActivity,
    long BytesTransferred,
    long CurrentOffset);

/// <summary>The Internal streams of one path, at one moment.</summary>
/// <param name="ActiveStreams">Open now.</param>
/// <param name="MappedStreams">Of these, mapped into a public stream.</param>
/// <param name="UnmappedStreams">Of these, not mapped yet: their open frame or the permission for it is on its way.</param>
/// <param name="TotalDataBytes">Payload received on all of them since the path began, bytes.</param>
/// <param name="AggregationRatio">The share of <paramref name="TotalDataBytes"/> that was placed: 0 to 1; 1 when nothing was received.</param>
public sealed record SecondaryStreamStats(
    int ActiveStreams, int MappedStreams, int UnmappedStreams, long TotalDataBytes, double AggregationRatio);

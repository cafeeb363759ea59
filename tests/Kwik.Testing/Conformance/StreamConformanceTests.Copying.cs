using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>Copying from and to.</summary>
public abstract partial class StreamConformanceTests
{
    /// <summary>Buffer sizes, 0: the default; and whether the call blocks.</summary>
    public static TheoryData<int, bool> Copies => new MatrixTheoryData<int, bool>([0, 1, 7, 4096, 81_920, 1_000_000], [true, false]);

    [Theory, MemberData(nameof(Copies))]
    public Task CopyTo_AnotherStream_CopiesAllUpToTheEnd(int bufferSize, bool blocking) => RunAsync(async (near, far) =>
    {
        byte[] all = Bytes(bufferSize == 1 ? 5000 : 200_000);
        using var destination = new MemoryStream();
        Task copying = CopyAsync(near, destination, bufferSize, blocking);
        await far.WriteAsync(all.AsMemory(0, all.Length / 3));
        await WriteAllAsync(far, all[(all.Length / 3)..]);
        await copying;
        Assert.Equal(all, destination.ToArray());
        await CopyAsync(near, destination, bufferSize, blocking);
        Assert.Equal(all.Length, destination.Length);
    });

    [Theory, MemberData(nameof(Copies))]
    public Task CopyTo_FromAnotherStream_WritesAllAndDoesNotEnd(int bufferSize, bool blocking) => RunAsync(async (near, far) =>
    {
        byte[] all = Bytes(bufferSize == 1 ? 5000 : 500_000);
        using var source = new MemoryStream(all);
        Task<byte[]> reading = far.TakeAsync(all.Length + 3);
        await CopyAsync(source, near, bufferSize, blocking);
        Assert.False(reading.IsCompleted);
        await near.WriteAsync("end"u8.ToArray());
        byte[] read = await reading;
        Assert.Equal([.. all, .. "end"u8], read);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task CopyTo_OfNothing_EndsAtOnce(bool blocking) => RunAsync(async (near, far) =>
    {
        await CopyAsync(new MemoryStream(), near, 0, blocking);
        near.CompleteWrites();
        using var destination = new MemoryStream();
        await CopyAsync(far, destination, 0, blocking);
        Assert.Equal(0, destination.Length);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task CopyTo_Itself_EchoesMoreThanThereIsRoomFor(bool blocking) => RunAsync(async (near, far) =>
    {
        Task echo = EchoAsync(far, blocking);
        Task writing = WriteAllAsync(near, Bytes(Capacity));
        Assert.Equal(Bytes(Capacity), await near.ReadToEndAsync());
        await writing;
        await echo;

        static async Task EchoAsync(KwikStream stream, bool blocking)
        {
            await CopyAsync(stream, stream, 10_000, blocking);
            stream.CompleteWrites();
        }
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task CopyTo_ADestinationThatFails_ThrowsItsException(bool blocking) => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(200));
        using var destination = new MemoryStream(new byte[10]);
        await Assert.ThrowsAsync<NotSupportedException>(() => CopyAsync(near, destination, 100, blocking));
        await far.WriteAsync(Bytes(1));
        Assert.Equal(1, await near.ReadAsync(new byte[1]));
    });

    private static Task CopyAsync(Stream source, Stream destination, int bufferSize, bool blocking) => (bufferSize, blocking) switch
    {
        (0, true) => OwnThread.RunAsync(() => source.CopyTo(destination)),
        (0, false) => source.CopyToAsync(destination),
        (_, true) => OwnThread.RunAsync(() => source.CopyTo(destination, bufferSize)),
        _ => source.CopyToAsync(destination, bufferSize),
    };
}

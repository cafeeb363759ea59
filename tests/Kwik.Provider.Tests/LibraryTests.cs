using System.Net.Quic;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Provider.Tests;

/// <summary>Which library the suite runs on, and how QuicProvider chooses.</summary>
public sealed class LibraryTests(LoadedLibrary loaded)
{
    [Fact]
    public void EnsureLoaded_AtStart_LoadsALibraryThatSystemNetQuicAccepts()
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"{loaded.Library}");

        Assert.True(QuicConnection.IsSupported);
        Assert.True(QuicListener.IsSupported);
        if (OperatingSystem.IsLinux())
        {
            Assert.True(File.Exists(loaded.Library.Path));
            Assert.True(loaded.Library.Version >= QuicProvider.MinimumVersion);
        }
    }

    [Fact]
    public void EnsureLoaded_PathInEnvironment_TakesThatFileAndNoOther()
    {
        string? wanted = Environment.GetEnvironmentVariable(QuicProvider.PathVariable);

        Assert.Equal(!string.IsNullOrEmpty(wanted), loaded.Library.Origin == QuicLibraryOrigin.Environment);
        if (!string.IsNullOrEmpty(wanted))
        {
            Assert.Equal(Path.GetFullPath(wanted), loaded.Library.Path);
        }
    }

    [Fact]
    public void EnsureLoaded_FromManyThreads_GivesOneAnswer()
    {
        var answers = new QuicLibrary[16];

        Parallel.For(0, answers.Length, i => answers[i] = QuicProvider.EnsureLoaded());

        Assert.All(answers, answer => Assert.Same(loaded.Library, answer));
    }

    [Fact]
    public void Choose_PathOfNoFile_ThrowsLocalInternalThatNamesIt()
    {
        KwikException e = Assert.Throws<KwikException>(() => QuicProvider.Choose("/no/such/libmsquic.so.2", AppContext.BaseDirectory));

        Assert.Equal((KwikError.Internal, KwikErrorSide.Local), (e.Code, e.Side));
        Assert.Contains("/no/such/libmsquic.so.2", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Choose_PathOfAFileThatIsNoLibrary_ThrowsLocalInternalThatNamesIt()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Elsewhere System.Net.Quic chooses.");
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "not a library");

            KwikException e = Assert.Throws<KwikException>(() => QuicProvider.Choose(path, AppContext.BaseDirectory));

            Assert.Equal((KwikError.Internal, KwikErrorSide.Local), (e.Code, e.Side));
            Assert.Contains(path, e.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Choose_PathOfAnotherLibrary_ThrowsLocalInternalThatNamesIt()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Elsewhere System.Net.Quic chooses.");
        string other = Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "libSystem.Native.so");

        KwikException e = Assert.Throws<KwikException>(() => QuicProvider.Choose(other, AppContext.BaseDirectory));

        Assert.Equal((KwikError.Internal, KwikErrorSide.Local), (e.Code, e.Side));
        Assert.Contains(other, e.Message, StringComparison.Ordinal);
    }
}

#include "io/other_pictures.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "io/code_pages.h"

namespace edm2 {
namespace {

using namespace std::string_view_literals;

struct Mark {
  size_t offset;
  std::string_view bytes, format;
};

constexpr Mark marks[] = {
    {0, "8BPS"sv, "Photoshop (PSD)"sv},
    {0, "\0\0\1\0"sv, "icon (ICO)"sv},
    {0, "\0\0\2\0"sv, "cursor (CUR)"sv},
    {0, "icns"sv, "icon of macOS (ICNS)"sv},
    {0, "DDS "sv, "DirectDraw surface (DDS)"sv},
    {0, "qoif"sv, "QOI"sv},
    {0, "BLP1"sv, "texture (BLP)"sv},
    {0, "BLP2"sv, "texture (BLP)"sv},
    {0, "%!PS"sv, "PostScript (EPS)"sv},
    {0, "\xc5\xd0\xd3\xc6"sv, "PostScript (EPS)"sv},
    {0, "%PDF-"sv, "PDF"sv},
    {0, "\x01\xda"sv, "Silicon Graphics (SGI)"sv},
    {0, "\x59\xa6\x6a\x95"sv, "Sun raster (RAS)"sv},
    {0, "\xb1\x68\xde\x3a"sv, "multi-page PCX (DCX)"sv},
    {0, "SIMPLE  ="sv, "astronomical (FITS)"sv},
    {0, "/* XPM */"sv, "X pixmap (XPM)"sv},
    {0, "#define"sv, "X bitmap (XBM)"sv},
    {0, "\xd7\xcd\xc6\x9a"sv, "Windows metafile (WMF)"sv},
    {40, " EMF"sv, "Windows metafile (EMF)"sv},
    {0, "\x89HDF\r\n\x1a\n"sv, "HDF5"sv},
    {0, "GRIB"sv, "GRIB"sv},
    {0, "BUFR"sv, "BUFR"sv},
    {0, "PF\n"sv, "floating-point map (PFM)"sv},
    {0, "Pf\n"sv, "floating-point map (PFM)"sv},
    {0, "P7"sv, "PAM"sv},
    {0, "DanM"sv, "Windows Paint (MSP)"sv},
    {0, "LinS"sv, "Windows Paint (MSP)"sv},
    {0, "\0\0\1\xba"sv, "MPEG film"sv},
    {0, "\0\0\1\xb3"sv, "MPEG film"sv},
    {0, "\xff\x0a"sv, "JPEG XL"sv},
    {0, "\0\0\0\x0cJXL \r\n\x87\n"sv, "JPEG XL"sv},
    {0, "\x76\x2f\x31\x01"sv, "OpenEXR"sv},
    {0, "#?RADIANCE"sv, "Radiance (HDR)"sv},
    {0, "<svg"sv, "SVG drawing"sv},
    {0, "FTEX"sv, "texture (FTC, FTU)"sv},
    {20, "GIMP"sv, "GIMP brush (GBR)"sv},
    {4, "ftypheic"sv, "HEIC"sv},
    {4, "ftypheix"sv, "HEIC"sv},
    {4, "ftypmif1"sv, "HEIF"sv},
    {4, "ftypmsf1"sv, "HEIF"sv},
};

struct Extension {
  std::string_view extension, format;
};

/// Formats whose files do not begin with a mark (or only with one of a byte or two).
constexpr Extension extensions[] = {
    {".bw", "Silicon Graphics (SGI)"},
    {".dib", "bitmap without a file header (DIB)"},
    {".flc", "animation (FLC)"},
    {".fli", "animation (FLI)"},
    {".icb", "Targa (TGA)"},
    {".iim", "IPTC"},
    {".im", "IFUNC (IM)"},
    {".palm", "Palm"},
    {".pcd", "Photo CD (PCD)"},
    {".pcx", "PCX"},
    {".pxr", "Pixar (PXR)"},
    {".tga", "Targa (TGA)"},
    {".vda", "Targa (TGA)"},
    {".vst", "Targa (TGA)"},
    {".wmf", "Windows metafile (WMF)"},
    {".emf", "Windows metafile (EMF)"},
};

/// The first bytes are text, a gzip file or the like: then the extension says nothing.
bool begins_as_text(std::string_view text) {
  return text.empty() ||
         std::all_of(text.begin(), text.begin() + std::min<size_t>(text.size(), 16), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return std::isprint(byte) != 0 || std::isspace(byte) != 0;
         });
}

}  // namespace

std::string unread_picture_format(std::span<const std::byte> beginning, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(beginning.data()), beginning.size());
  const std::string lower = ascii_lower(name.substr(std::min(name.size(), name.rfind('.'))));
  if (!begins_as_text(text))
    for (const Extension& known : extensions)
      if (lower == known.extension) return std::string(known.format);
  for (const Mark& mark : marks)
    if (text.size() >= mark.offset && text.substr(mark.offset).starts_with(mark.bytes))
      return std::string(mark.format);
  return "";
}

}  // namespace edm2
